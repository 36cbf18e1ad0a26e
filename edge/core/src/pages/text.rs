//! The words of the pages, Korean and English side by side.

use nugul_api::problem::Language;
use nugul_domain::{Krw, Timestamp, time::korean_weekday, time::parse_date};
use time::{Date, Weekday};

macro_rules! words {
    ($($name:ident = $ko:literal, $en:literal;)+) => {
        /// The words of one language.
        pub(super) struct Words { $(pub(super) $name: &'static str,)+ }
        const KOREAN: Words = Words { $($name: $ko,)+ };
        const ENGLISH: Words = Words { $($name: $en,)+ };
    };
}

words! {
    brand = "너굴티켓", "Nugul Ticket";
    tagline = "보고 싶은 공연, 앉고 싶은 자리.", "The show you want, the seat you want.";
    skip = "본문으로 건너뛰기", "Skip to the content";
    menu = "주 메뉴", "Main menu";
    my_tickets = "내 티켓", "My tickets";
    log_in = "로그인", "Log in";
    log_out = "로그아웃", "Log out";
    sign_up = "회원가입", "Sign up";
    other_language = "English", "한국어";
    footer = "모든 시각은 서울 기준이에요. 표시한 가격이 내는 가격 전부예요.", "All times are Seoul's. The price shown is the whole price.";
    search = "검색", "Search";
    search_label = "공연, 장소 검색", "Search shows and places";
    search_hint = "공연이나 장소를 입력해 주세요", "Show or place";
    suggestions = "추천 검색어", "Suggestions";
    categories = "장르", "Genres";
    all = "전체", "All";
    on_sale = "지금 예매할 수 있어요", "On sale now";
    soon = "곧 예매가 열려요", "Opening soon";
    opens = "예매 시작", "Opens";
    nothing_on_sale = "지금 예매할 수 있는 공연이 없어요. 달력에서 다른 날을 골라 보세요.", "Nothing is on sale right now. Try another day in the calendar.";
    calendar = "공연 달력", "Calendar";
    calendar_hint = "날짜를 누르면 그날 하는 공연을 볼 수 있어요.", "Choose a day to see what is on.";
    prev_month = "이전 달", "Previous month";
    next_month = "다음 달", "Next month";
    search_results = "검색 결과", "Search results";
    all_shows = "모든 공연", "All shows";
    clear = "지우기", "Clear";
    empty_result = "맞는 공연을 찾지 못했어요.", "No shows match.";
    empty_hint = "낱말을 줄이거나, 날짜와 장르를 지우고 다시 찾아 보세요. 초성(ㅇㅍㄹ)으로도 찾을 수 있어요.", "Try fewer words, or clear the date and genre.";
    more = "더 보기", "More";
    place = "장소", "Place";
    period = "기간", "Dates";
    runtime = "관람 시간", "Running time";
    rating = "관람 등급", "Age";
    prices = "좌석 가격", "Prices";
    grade = "등급", "Grade";
    price = "가격", "Price";
    choose_date = "회차 선택", "Choose a date";
    choose_seats = "좌석 선택", "Choose seats";
    sold_out = "매진", "Sold out";
    ended = "끝난 공연", "Over";
    no_performances = "아직 열린 회차가 없어요. 회차가 열리면 여기서 예매할 수 있어요.", "No dates yet. They will appear here when they open.";
    about = "공연 소개", "About";
    refunds = "취소와 환불", "Cancelling and refunds";
    refunds_pay = "결제하기 전에는 언제든 수수료 없이 그만둘 수 있어요.", "Before paying, stop at any time at no cost.";
    refunds_one = "같은 좌석이 두 번 결제되는 일은 없어요. 결제 결과를 모를 때는 확인될 때까지 좌석을 지켜요.", "A seat is never charged twice. While a payment's outcome is unknown, your seats stay yours.";
    stage = "무대", "STAGE";
    map = "좌석 배치도", "Seat map";
    map_hint = "좌석을 눌러 고르세요. 화살표 키로 옮기고 Enter로 골라요.", "Tap seats to choose. Arrow keys move, Enter chooses.";
    list = "목록으로 고르기", "Choose from a list";
    list_hint = "줄을 열어 좌석을 고르세요. 배치도와 똑같은 좌석이에요.", "Open a row and choose. These are the same seats as on the map.";
    zoom_in = "크게", "Zoom in";
    zoom_out = "작게", "Zoom out";
    zoom_fit = "전체", "Fit";
    legend = "표시 설명", "Legend";
    available = "선택 가능", "Available";
    held = "다른 분이 선택 중", "Being chosen by others";
    sold = "판매됨", "Sold";
    chosen = "내가 선택", "Your choice";
    blocked = "판매 안 함", "Not for sale";
    filter = "등급만 보기", "Show one grade";
    blocks = "구역", "Sections";
    best = "좋은 좌석 바로 잡기", "Best seats, one press";
    best_hint = "무대에 가깝고 가운데인, 나란히 붙은 좌석을 골라 드려요.", "Side by side, nearest the stage and the middle.";
    count = "매수", "Seats";
    best_submit = "바로 잡기", "Take";
    your_seats = "선택한 좌석", "Your seats";
    none_chosen = "아직 고른 좌석이 없어요.", "No seats chosen yet.";
    hold_submit = "선택한 좌석 잡기", "Hold these seats";
    live = "실시간", "Live";
    catching_up = "따라잡는 중", "Catching up";
    offline = "오프라인", "Offline";
    sum = "합계", "Total";
    lost_one = "방금 다른 분이 먼저 선택해서 뺐어요: ", "Someone was faster, so it was removed: ";
    lost_many = "다른 분이 먼저 선택한 좌석:", "Taken by someone faster:";
    checkout = "주문 확인", "Your order";
    held_until = "까지 좌석을 잡아 두었어요.", ": your seats are yours until then.";
    left = "남은 시간", "Time left";
    time_over = "잡아 둔 시간이 끝났어요. 결제한 금액은 없어요.", "The hold has ended. Nothing was charged.";
    choose_again = "좌석 다시 고르기", "Choose seats again";
    seats = "좌석", "Seats";
    terms = "결제 전에 확인해 주세요", "Before you pay";
    terms_price = "표시된 합계가 결제할 금액 전부예요.", "The total shown is all you pay.";
    terms_seat = "결제하기를 누르면 10분 동안 결제할 수 있고, 그동안 좌석은 그대로 있어요.", "After you continue you have 10 minutes to pay; your seats stay yours.";
    terms_stop = "결제 전에 그만두면 좌석만 돌려놓고 돈은 나가지 않아요.", "If you stop before paying, only the seats go back. Nothing is charged.";
    agree = "결제하기를 누르면 위 내용에 동의하는 거예요.", "By pressing Pay you agree to the above.";
    pay = "결제하기", "Pay";
    release = "좌석 돌려놓기", "Give the seats back";
    pay_title = "결제", "Payment";
    pay_loading = "결제창을 준비하고 있어요…", "Preparing the payment window…";
    pay_failed_load = "결제창을 불러오지 못했어요. 결제된 것은 없어요. 연결을 확인하고 새로고침해 주세요.", "The payment window did not load. Nothing was charged. Check your connection and reload.";
    pay_stopped = "결제를 마치지 않았어요. 결제된 것은 없고 좌석은 그대로 있어요. 다시 누르면 이어서 할 수 있어요.", "The payment was not finished. Nothing was charged and your seats are still held. Press again to continue.";
    pay_note = "카드 결제창이 열려요. 카드 정보는 너굴티켓에 남지 않아요.", "A card window opens. Your card details never reach us.";
    pay_noscript = "결제창을 열려면 자바스크립트가 필요해요. 켜고 새로고침해 주세요.", "The payment window needs JavaScript. Turn it on and reload.";
    pay_until = "까지 결제할 수 있어요.", " is the time to pay by.";
    cancel_order = "주문 그만두기", "Cancel this order";
    to_tickets = "내 티켓 보기", "See my tickets";
    to_home = "처음으로", "Go home";
    paid = "예매가 끝났어요", "You are booked";
    paid_what = "결제가 승인됐고 티켓이 나왔어요. 공연장에서 QR 코드를 보여 주세요.", "The payment was approved and your tickets are ready. Show the QR code at the gate.";
    confirming = "결제를 확인하고 있어요", "Confirming your payment";
    confirming_what = "카드사 답을 기다리고 있어요. 이 화면은 저절로 바뀌어요.", "We are waiting for the card company. This page updates itself.";
    confirming_safe = "창을 닫아도 괜찮아요. 좌석은 그대로 지키고, 두 번 결제되지 않아요. 결과는 내 티켓에서 볼 수 있어요.", "You may close this page. Your seats stay yours and you are never charged twice. The result will be in My tickets.";
    declined = "결제가 거절됐어요", "The payment was declined";
    declined_what = "결제된 금액은 없고, 좌석은 다시 판매돼요.", "Nothing was charged. The seats are on sale again.";
    declined_reason = "카드사가 알려 준 이유", "The card company's reason";
    declined_next = "다른 카드로 하려면 좌석을 다시 골라 주세요.", "To use another card, choose seats again.";
    expired = "결제 시간이 지났어요", "The time to pay is over";
    expired_what = "결제된 금액은 없고, 좌석은 다시 판매돼요.", "Nothing was charged. The seats are on sale again.";
    cancelled = "주문을 그만뒀어요", "The order was cancelled";
    cancelled_what = "결제된 금액은 없고, 좌석은 다시 판매돼요.", "Nothing was charged. The seats are on sale again.";
    refunded = "환불했어요", "Refunded";
    refunded_what = "낸 금액을 돌려드렸고, 티켓은 더 쓸 수 없어요. 카드사에 따라 며칠 걸릴 수 있어요.", "Your money was returned and the tickets no longer work. Your bank may take a few days.";
    order_number = "주문 번호", "Order";
    no_tickets = "아직 티켓이 없어요.", "No tickets yet.";
    no_tickets_next = "예매한 티켓은 날짜순으로 여기에 모여요.", "Tickets you book appear here by date.";
    find_shows = "공연 찾아보기", "Find a show";
    past = "지난 공연", "Past";
    ticket = "티켓", "Ticket";
    qr_alt = "입장 QR 코드", "Entry QR code";
    qr_hint = "입구에서 이 화면을 보여 주세요. 화면을 밝게 하면 더 빨리 읽혀요.", "Show this at the gate. A brighter screen reads faster.";
    issued = "발권", "Issued";
    email = "이메일", "E-mail";
    password = "비밀번호", "Password";
    new_here = "처음이신가요?", "New here?";
    have_account = "이미 계정이 있나요?", "Already have an account?";
    send_code = "인증 코드 받기", "Send me a code";
    sign_up_what = "이메일로 코드를 보내 본인인지 확인해요.", "We send a code to make sure the address is yours.";
    code = "인증 코드", "Code";
    code_sent = "이 주소로 코드를 보냈어요:", "We sent a code to:";
    code_other = "다른 이메일 쓰기", "Use another address";
    password_hint = "8자 이상", "At least 8 characters";
    nickname = "닉네임", "Nickname";
    nickname_hint = "20자까지", "Up to 20 characters";
    try_again = "다시 시도", "Try again";
    trace = "문의할 때 알려 주세요", "Tell us this when you ask";
    not_found = "찾는 페이지가 없어요", "There is no such page";
    not_found_what = "주소가 바뀌었거나 공연이 내려갔을 수 있어요. 바뀐 것은 없어요.", "The address may have changed, or the show was taken down. Nothing was changed.";
    broken = "문제가 생겼어요", "Something went wrong";
    broken_what = "저희 쪽 문제예요. 하던 일은 처리되지 않았을 수 있으니, 결제 중이었다면 내 티켓에서 먼저 확인해 주세요.", "It is our fault. What you were doing may not be done; if you were paying, check My tickets first.";
    away = "잠시 연결되지 않아요", "We are briefly unavailable";
    away_what = "사람이 몰렸거나 점검 중이에요. 잡아 둔 좌석과 결제한 티켓은 그대로예요. 잠시 뒤에 다시 시도해 주세요.", "We are busy or under maintenance. Held seats and paid tickets are safe. Try again in a moment.";
    refused = "할 수 없는 요청이에요", "That could not be done";
}

/// The words of `lang`.
pub(super) const fn words(lang: Language) -> &'static Words {
    match lang {
        Language::Korean => &KOREAN,
        Language::English => &ENGLISH,
    }
}

/// The language as HTML names it.
pub(super) const fn code(lang: Language) -> &'static str {
    match lang {
        Language::Korean => "ko",
        Language::English => "en",
    }
}

const fn english_weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

fn english_month(date: Date) -> String {
    date.month().to_string().chars().take(3).collect()
}

/// `12월 24일(목)`; `Thu 24 Dec`.
pub(super) fn day(lang: Language, date: Date) -> String {
    match lang {
        Language::Korean => {
            format!("{}월 {}일({})", u8::from(date.month()), date.day(), korean_weekday(date.weekday()))
        }
        Language::English => {
            format!("{} {} {}", english_weekday(date.weekday()), date.day(), english_month(date))
        }
    }
}

/// `오후 7:30`; `7:30 pm`.
pub(super) fn clock(lang: Language, t: Timestamp) -> String {
    let t = t.seoul();
    let hour = match t.hour() % 12 {
        0 => 12,
        h => h,
    };
    let (is_morning, minute) = (t.hour() < 12, t.minute());
    match lang {
        Language::Korean => format!("{} {hour}:{minute:02}", if is_morning { "오전" } else { "오후" }),
        Language::English => format!("{hour}:{minute:02} {}", if is_morning { "am" } else { "pm" }),
    }
}

/// `12월 24일(목) 오후 7:30`; `Thu 24 Dec, 7:30 pm`.
pub(super) fn moment(lang: Language, t: Timestamp) -> String {
    let (day, clock) = (day(lang, t.seoul().date()), clock(lang, t));
    match lang {
        Language::Korean => format!("{day} {clock}"),
        Language::English => format!("{day}, {clock}"),
    }
}

/// `2026.12.24 – 2027.1.3`, the year once where it is the same; texts that are no dates are shown as they are.
pub(super) fn period(lang: Language, from: &str, to: &str) -> String {
    let (Some(a), Some(b)) = (parse_date(from), parse_date(to)) else {
        return if from == to { from.to_owned() } else { format!("{from} – {to}") };
    };
    let full = |d: Date| match lang {
        Language::Korean => format!("{}.{}.{}", d.year(), u8::from(d.month()), d.day()),
        Language::English => format!("{} {} {}", d.day(), english_month(d), d.year()),
    };
    let short = |d: Date| match lang {
        Language::Korean => format!("{}.{}", u8::from(d.month()), d.day()),
        Language::English => format!("{} {}", d.day(), english_month(d)),
    };
    match (a == b, a.year() == b.year(), lang) {
        (true, ..) => full(a),
        (_, true, Language::Korean) => format!("{} – {}", full(a), short(b)),
        (_, true, Language::English) => format!("{} – {}", short(a), full(b)),
        _ => format!("{} – {}", full(a), full(b)),
    }
}

/// `77,000원부터`, or the one price there is.
pub(super) fn prices(lang: Language, min: Krw, max: Krw) -> String {
    match (min == max, lang) {
        (true, _) => money(lang, min),
        (_, Language::Korean) => format!("{min}부터"),
        (_, Language::English) => format!("from {}", money(lang, min)),
    }
}

/// `150,000원`; `₩150,000`.
pub(super) fn money(lang: Language, sum: Krw) -> String {
    match lang {
        Language::Korean => sum.to_string(),
        Language::English => format!("₩{}", sum.to_string().trim_end_matches('원')),
    }
}

/// A seat's printed label in the reader's language: `R석 12열 7번`; `R, row 12, seat 7`.
pub(super) fn seat(lang: Language, label: &str) -> String {
    if lang == Language::Korean {
        return label.to_owned();
    }
    let mut parts = label.rsplitn(3, ' ');
    let number = parts.next().and_then(|p| p.strip_suffix('번'));
    let row = parts.next().and_then(|p| p.strip_suffix('열'));
    let grade = parts.next().and_then(|p| p.strip_suffix('석'));
    match (grade, row, number) {
        (Some(grade), Some(row), Some(number)) => format!("{grade}, row {row}, seat {number}"),
        _ => label.to_owned(),
    }
}

/// A row as its label begins: `R석 12열`; `R, row 12`.
pub(super) fn row(lang: Language, grade: &str, row: u32) -> String {
    match lang {
        Language::Korean => format!("{grade}석 {row}열"),
        Language::English => format!("{grade}, row {row}"),
    }
}

/// A grade as people say it: `R석`; `R`.
pub(super) fn grade(lang: Language, grade: &str) -> String {
    match lang {
        Language::Korean => format!("{grade}석"),
        Language::English => grade.to_owned(),
    }
}

/// `312석 남음`; `312 left`.
pub(super) fn left(lang: Language, count: u32) -> String {
    match lang {
        Language::Korean => format!("{}석 남음", grouped(count)),
        Language::English => format!("{} left", grouped(count)),
    }
}

/// `3건`; `3 shows`.
pub(super) fn shows(lang: Language, count: usize) -> String {
    let n = grouped(u32::try_from(count).unwrap_or(u32::MAX));
    match (lang, count) {
        (Language::Korean, _) => format!("{n}건"),
        (Language::English, 1) => "1 show".to_owned(),
        (Language::English, _) => format!("{n} shows"),
    }
}

/// `2매`; `2 tickets`.
pub(super) fn copies(lang: Language, count: usize) -> String {
    match (lang, count) {
        (Language::Korean, _) => format!("{count}매"),
        (Language::English, 1) => "1 ticket".to_owned(),
        (Language::English, _) => format!("{count} tickets"),
    }
}

/// A category in the reader's language, where it is one of the usual ones.
pub(super) fn category(lang: Language, name: &str) -> &str {
    match (lang, name) {
        (Language::English, "뮤지컬") => "Musical",
        (Language::English, "연극") => "Play",
        (Language::English, "콘서트") => "Concert",
        (Language::English, "클래식") => "Classical",
        (Language::English, "무용") => "Dance",
        (Language::English, "전시") => "Exhibition",
        (Language::English, "가족") => "Family",
        _ => name,
    }
}

/// The limit of seats, said before it is hit.
pub(super) fn limit(lang: Language, max: u32) -> String {
    match lang {
        Language::Korean => format!("한 번에 {max}석까지 고를 수 있어요."),
        Language::English => format!("You may choose up to {max} seats."),
    }
}

/// The running time: `2시간 55분`; `2 h 55 min`.
pub(super) fn minutes(lang: Language, minutes: u32) -> String {
    match (lang, minutes / 60, minutes % 60) {
        (Language::Korean, 0, m) => format!("{m}분"),
        (Language::Korean, h, 0) => format!("{h}시간"),
        (Language::Korean, h, m) => format!("{h}시간 {m}분"),
        (Language::English, 0, m) => format!("{m} min"),
        (Language::English, h, 0) => format!("{h} h"),
        (Language::English, h, m) => format!("{h} h {m} min"),
    }
}

/// `2026년 12월`; `December 2026`.
pub(super) fn month(lang: Language, first: Date) -> String {
    match lang {
        Language::Korean => format!("{}년 {}월", first.year(), u8::from(first.month())),
        Language::English => format!("{} {}", first.month(), first.year()),
    }
}

/// The days of a week from Sunday, as a calendar heads them.
pub(super) const fn weekdays(lang: Language) -> [&'static str; 7] {
    match lang {
        Language::Korean => ["일", "월", "화", "수", "목", "금", "토"],
        Language::English => ["Su", "Mo", "Tu", "We", "Th", "Fr", "Sa"],
    }
}

fn grouped(n: u32) -> String {
    Krw(i64::from(n)).to_string().trim_end_matches('원').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_seats_are_said_as_people_say_them() {
        let t = Timestamp::parse("2026-12-24T10:30:00Z").unwrap();
        assert_eq!(moment(Language::Korean, t), "12월 24일(목) 오후 7:30");
        assert_eq!(moment(Language::English, t), "Thu 24 Dec, 7:30 pm");
        assert_eq!(clock(Language::Korean, t.plus_ms(5 * 3_600_000)), "오전 12:30");
        assert_eq!(period(Language::Korean, "2026-12-24", "2026-12-31"), "2026.12.24 – 12.31");
        assert_eq!(period(Language::English, "2026-12-24", "2027-01-03"), "24 Dec 2026 – 3 Jan 2027");
        assert_eq!(seat(Language::English, "R석 12열 7번"), "R, row 12, seat 7");
        assert_eq!(seat(Language::English, "자유석"), "자유석");
        assert_eq!(minutes(Language::Korean, 175), "2시간 55분");
        assert_eq!(money(Language::English, Krw(150_000)), "₩150,000");
    }
}
