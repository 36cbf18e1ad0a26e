//! Posters drawn from a title and a category: the same words always make the same picture.

use maud::{Markup, html};

use super::assets::fnv1a;

/// The widest line of a poster's title, in half characters.
const LINE_WIDTH: usize = 13;
const LINES_MAX: usize = 3;

/// The poster as SVG, 3 wide to 4 high. It says nothing the page does not say, so readers skip it.
pub(super) fn poster(title: &str, category: &str) -> Markup {
    let hash = fnv1a(title.as_bytes()) ^ fnv1a(category.as_bytes()).rotate_left(17);
    let part = |shift: u32, below: u64| (hash >> shift) % below;
    let hue = (fnv1a(category.as_bytes()) % 360 + part(8, 90)) % 360;
    let other = (hue + 30 + part(16, 60)) % 360;
    let ground = format!("hsl({hue} 42% 24%)");
    let mid = format!("hsl({hue} 40% 36%)");
    let light = format!("hsl({other} 62% 68%)");
    let (x, y, r) = (30 + part(24, 60), 40 + part(30, 30), 22 + part(36, 16));
    html! {
        svg.poster viewBox="0 0 120 160" aria-hidden="true" focusable="false" {
            rect width="120" height="160" fill=(ground) {}
            @match part(42, 5) {
                0 => {
                    circle cx=(x) cy=(y) r=(r) fill=(light) {}
                    path d="M0 92q30-22 60 0t60 0v68H0z" fill=(mid) {}
                }
                1 => {
                    g fill="none" stroke=(mid) stroke-width="7" {
                        @for k in 0..5u64 { circle cx=(x) cy="72" r=(12 + k * 15) {} }
                    }
                    circle cx=(x) cy="72" r="8" fill=(light) {}
                }
                2 => {
                    path d=(format!("M{x} -4L-34 164H154z")) fill=(mid) {}
                    path d=(format!("M{x} -4L{} 164H{}z", x.saturating_sub(36), x + 36)) fill=(light) opacity=".85" {}
                }
                3 => {
                    @for k in 0..6u64 {
                        rect x=(k * 20 + 3) y=(20 + (hash >> (k * 5)) % 50) width="14" height="140" rx="7"
                            fill=(if k == part(50, 6) { &light } else { &mid }) {}
                    }
                }
                _ => {
                    path d=(format!("M0 {y}Q60 {} 120 {y}V0H0z", y + 40)) fill=(mid) {}
                    path d=(format!("M0 {}Q60 {} 120 {}", y + 8, y + 48, y + 8)) fill="none" stroke=(light) stroke-width="3" {}
                    circle cx=(x) cy=(y / 2) r="9" fill=(light) {}
                }
            }
            rect y="100" width="120" height="60" fill=(ground) opacity=".82" {}
            text x="10" y="113" font-size="7" fill=(light) { (category) }
            @for (line, at) in lines(title).iter().zip([127, 140, 153]) {
                text x="10" y=(at) font-size="12" font-weight="700" fill="#fff" { (line) }
            }
        }
    }
}

/// Cuts a title into lines by the room its characters take: a Hangul syllable is as wide as two Latin letters.
fn lines(title: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut width = 0;
    let chars = |w: &str| w.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
    for word in title.split_whitespace() {
        if width > 0 && width + 1 + chars(word) > LINE_WIDTH {
            lines.push(std::mem::take(&mut line));
            width = 0;
        }
        if width > 0 {
            line.push(' ');
            width += 1;
        }
        for c in word.chars() {
            let wide = if c.is_ascii() { 1 } else { 2 };
            if width + wide > LINE_WIDTH + 1 {
                lines.push(std::mem::take(&mut line));
                width = 0;
            }
            line.push(c);
            width += wide;
        }
    }
    lines.push(line);
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        if let Some(last) = lines.last_mut() {
            last.pop();
            last.push('…');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_make_the_same_picture() {
        let a = poster("레미제라블", "뮤지컬").into_string();
        assert_eq!(a, poster("레미제라블", "뮤지컬").into_string());
        assert_ne!(a, poster("레베카", "뮤지컬").into_string());
        assert!(a.len() < 1_500, "{}", a.len());
    }

    #[test]
    fn long_titles_are_cut() {
        assert_eq!(lines("오페라의 유령"), ["오페라의 유령"]);
        let cut = lines("아주 길고 긴 제목을 가진 공연은 포스터에 다 들어가지 않아요");
        assert_eq!(cut.len(), 3);
        assert!(cut.last().is_some_and(|l| l.ends_with('…')));
    }
}
