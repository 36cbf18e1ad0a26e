//! The words of the pages, Korean and English side by side.

use nugul_api::{problem::Language, rankings::Movement};
use nugul_domain::{
    Krw, Timestamp,
    event::BuyerLimits,
    refund::{FREE_AFTER_BUYING_MS, FREE_DAYS_BEFORE_MIN},
    time::{korean_weekday, parse_date},
};
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
    suggestion_count = "추천 {n}개", "{n} suggestions";
    most_words = "모든 낱말이 맞는 공연은 없어서, 가장 많이 맞는 공연을 보여 드려요", "no show has all the words; these have most of them";
    clear_filters = "조건을 모두 지우고 같은 낱말로 찾기", "Search the same words without filters";
    narrow = "조건", "Filters";
    region = "지역", "Region";
    only_on_sale = "지금 예매", "On sale now";
    only_transferable = "양도 티켓", "Transfers";
    order = "정렬", "Order";
    by_relevance = "정확한 순", "Best match";
    by_popularity = "인기 순", "Most wanted";
    by_date = "빠른 날짜 순", "Soonest";
    by_price = "낮은 가격 순", "Cheapest";
    categories = "장르", "Genres";
    all = "전체", "All";
    on_sale = "지금 예매할 수 있어요", "On sale now";
    soon = "곧 예매가 열려요", "Opening soon";
    opens = "예매 시작", "Opens";
    nothing_on_sale = "지금 예매할 수 있는 공연이 없어요. 달력에서 다른 날을 골라 보세요.", "Nothing is on sale right now. Try another day in the calendar.";
    top_keywords = "많이 찾는 말", "Top searches";
    top_events = "많이 보는 공연", "Top shows";
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
    cast = "출연", "Cast";
    prices = "좌석 가격", "Prices";
    grade = "등급", "Grade";
    price = "가격", "Price";
    choose_date = "회차 선택", "Choose a date";
    choose_seats = "좌석 선택", "Choose seats";
    sold_out = "매진", "Sold out";
    ended = "끝난 공연", "Over";
    closed = "판매 끝", "Sales closed";
    called_off = "주최자가 취소한 회차예요", "Cancelled by the organiser";
    called_off_what = "주최자가 취소한 회차예요. 결제한 금액은 수수료 없이 모두 돌려드려요. 따로 하실 일은 없어요.", "The organiser cancelled this performance. Everything you paid is given back, with no fee. You need not do anything.";
    called_off_unpaid = "결제한 금액은 없어요. 주문은 저절로 끝나요.", "Nothing was charged. The order ends by itself.";
    other_dates = "다른 회차 보기", "See other dates";
    no_performances = "아직 열린 회차가 없어요. 회차가 열리면 여기서 예매할 수 있어요.", "No dates yet. They will appear here when they open.";
    about = "공연 소개", "About";
    refunds = "취소와 환불", "Cancelling and refunds";
    refunds_pay = "결제하기 전에는 언제든 수수료 없이 그만둘 수 있어요.", "Before paying, stop at any time at no cost.";
    refunds_one = "같은 좌석이 두 번 결제되는 일은 없어요. 결제 결과를 모를 때는 확인될 때까지 좌석을 지켜요.", "A seat is never charged twice. While a payment's outcome is unknown, your seats stay yours.";
    refund = "환불", "Refund";
    refund_now = "지금 환불하면", "A refund now";
    paid_sum = "낸 금액", "Paid";
    fee = "수수료", "Fee";
    no_fee = "없음", "None";
    gets_back = "돌려받는 금액", "You get back";
    by_rule = "요청하면 바로 처리돼요.", "It is done as soon as you ask.";
    by_organiser = "공연 당일이라 주최자가 보고 정해요. 정해질 때까지 티켓은 그대로 쓸 수 있어요.", "It is the day of the performance, so the organiser decides. Until then the ticket stays good.";
    refund_over = "공연이 시작돼서 이제 환불할 수 없어요.", "The performance has begun, so it can no longer be refunded.";
    fee_table = "날짜별 수수료", "Fees by date";
    fee_when = "환불하는 날", "Day of refund";
    fee_share = "수수료 (가격에서)", "Fee (of the price)";
    organiser_decides = "주최자가 정해요", "the organiser decides";
    refund_ask = "환불하기", "Refund this ticket";
    refund_before = "환불하면 이 티켓의 QR 코드는 바로 꺼지고, 좌석은 다시 판매돼요. 되돌릴 수 없어요.", "The QR code stops working at once and the seat goes back on sale. This cannot be undone.";
    refund_reason = "이유", "Reason";
    optional = "적지 않아도 돼요", "optional";
    refund_changed = "그사이 날짜가 바뀌어 수수료가 달라졌어요. 환불하지 않았으니, 아래 금액을 다시 확인해 주세요.", "The fee has changed since you looked. Nothing was refunded; check the sum below.";
    refund_number = "환불 번호", "Refund";
    refund_asked_at = "요청한 때", "Asked on";
    refund_steps = "환불이 어디까지 왔는지", "How far it is";
    step_requested = "요청", "Asked";
    step_refunding = "돌려드리는 중", "On its way";
    step_refunded = "완료", "Done";
    refund_requested = "환불을 요청했어요", "Refund asked for";
    refund_requested_what = "주최자가 확인하고 있어요. 정해지면 이메일로 알려드려요. 그때까지 티켓은 그대로 쓸 수 있어요.", "The organiser is looking at it. We will e-mail you. Until then your ticket stays good.";
    refund_refunding = "돈을 돌려드리고 있어요", "Your money is on its way";
    refund_refunding_what = "환불이 받아들여졌고 카드사에 알리고 있어요. 이 화면을 닫아도 괜찮아요. 끝나면 이메일로 알려드려요.", "The refund is accepted and we are telling your card company. You may close this page. We will e-mail you when it is done.";
    refund_refunded = "환불했어요", "Refunded";
    refund_refunded_what = "돈을 돌려보냈어요. 카드사에 따라 명세서에 보이기까지 3–5일 걸릴 수 있어요. 더 하실 일은 없어요.", "The money is sent back. It may take your card company 3 to 5 days to show it. There is nothing more to do.";
    refund_declined = "주최자가 환불을 거절했어요", "The organiser declined the refund";
    refund_declined_what = "나간 돈도 바뀐 것도 없어요. 티켓은 그대로라 공연장에서 쓸 수 있어요.", "Nothing has changed. Your ticket is as it was and opens the gate.";
    no_qr = "환불하는 중이라 QR 코드를 보여 드리지 않아요. 이 티켓으로는 입장할 수 없어요.", "A refund is under way, so there is no QR code. This ticket opens no gate.";
    refund_look = "환불 진행 보기", "See the refund";
    refunds_under_way = "환불 진행 중", "Refunds under way";
    refunds_done = "환불한 티켓", "Refunded tickets";
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
    offline = "연결 끊김", "Disconnected";
    log_in_to_see = "로그인해 주세요", "Log in to go on";
    members_only = "회원 전용", "Members only";
    members_only_what = "로그인하면 좌석을 볼 수 있어요.", "Log in to see the seats.";
    sum = "합계", "Total";
    lost_one = "방금 다른 분이 먼저 선택해서 뺐어요: ", "Someone was faster, so it was removed: ";
    instead = "가까운 빈자리가 있어요:", "There are free seats close by:";
    instead_choose = "이 좌석 고르기", "Choose these seats";
    manage = "이 회차 관리", "Manage this performance";
    lost_many = "다른 분이 먼저 선택한 좌석:", "Taken by someone faster:";
    checkout = "주문 확인", "Your order";
    held_until = "까지 좌석을 잡아 두었어요.", ": your seats are yours until then.";
    left = "남은 시간", "Time left";
    time_over = "잡아 둔 시간이 끝났어요. 결제한 금액은 없어요.", "The hold has ended. Nothing was charged.";
    hold_ended = "잡아 둔 시간이 끝났어요", "The hold has ended";
    hold_ended_what = "좌석은 다시 판매돼요. 결제한 금액은 없어요. 좌석을 다시 골라 주세요.", "The seats are on sale again and nothing was charged. Choose seats again.";
    unpaid_orders = "결제하지 않은 주문", "Orders not paid";
    resume = "이어서 결제하기", "Continue to payment";
    extend = "시간 늘리기", "More time";
    extend_note = "누르면 그때부터 시간을 다시 재요. 한 번만 쓸 수 있어요.", "The clock starts anew when you press. It works once.";
    extended = "시간을 한 번 늘렸어요. 더 늘릴 수는 없어요.", "You have had more time once. It cannot be extended again.";
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
    seller = "주최자", "Organiser";
    seller_refunds = "환불 요청", "Refund requests";
    seller_refunds_what = "공연 당일에 들어온 요청이에요. 정하지 않은 요청의 티켓은 그대로 쓸 수 있어요.", "These came in on the day of the performance. Until you decide, the tickets stay good.";
    seller_refunds_none = "기다리는 요청이 없어요.", "No requests are waiting.";
    seller_refunds_none_next = "공연 당일에 환불 요청이 들어오면 여기에 모여요. 그 전날까지의 환불은 저절로 처리돼요.", "Requests made on the day of a performance appear here. Earlier ones are done by themselves.";
    no_reason = "이유를 적지 않았어요", "No reason given";
    accept = "환불해 주기", "Accept";
    decline = "거절하기", "Decline";
    gives_back = "돌려줄 금액", "To be given back";
    already_decided = "이미 정해졌거나 끝난 요청이에요. 바뀐 것은 없어요.", "This request is decided already. Nothing was changed.";
    accepted_said = "환불하기로 했어요. 구매자에게 이메일로 알려드려요.", "Accepted. The buyer is told by e-mail.";
    declined_said = "거절했어요. 구매자에게 이메일로 알려드려요.", "Declined. The buyer is told by e-mail.";
    seats_now = "지금 좌석", "Seats now";
    n_sold = "판매", "Sold";
    n_held = "선택 중", "Being chosen";
    n_left = "남음", "Left";
    n_blocked = "판매 안 함", "Not for sale";
    to_seats = "좌석 배치도 보기", "See the seat map";
    window = "판매 기간", "Sales window";
    window_what = "서울 시각이에요. 공연이 시작하기 전에 끝나야 해요.", "Seoul time. Sales end by the time the performance begins.";
    window_open = "판매 시작", "Sales open";
    window_close = "판매 끝", "Sales close";
    save = "저장하기", "Save";
    saved = "저장했어요.", "Saved.";
    not_a_time = "날짜와 시각을 다시 골라 주세요.", "Choose the date and time again.";
    block = "판매하지 않을 좌석", "Seats not for sale";
    block_what = "한 줄에 한 열씩 적어 주세요. 열만 적으면 그 열 전체예요. 비우면 모든 좌석을 팔아요.", "One row a line. A row alone means all of it. Leave it empty to sell every seat.";
    block_example = "예: R석 3열 1-4, 7", "For example: R, row 3, seats 1-4, 7";
    block_unknown = "이 줄은 이 공연장의 좌석이 아니에요:", "This line names no seats of the hall:";
    cancel_it = "회차 취소", "Cancel this performance";
    cancel_open = "이 회차 취소하기", "Cancel this performance";
    cancel_what = "되돌릴 수 없어요. 판매를 바로 멈추고, 모든 구매자에게 낸 금액을 수수료 없이 돌려주고, 이유를 이메일로 알려요.", "This cannot be undone. Sales stop at once, every buyer gets everything back with no fee and is told the reason by e-mail.";
    cancel_reason = "구매자에게 알릴 이유", "What buyers are told";
    cancel_confirm = "정말 취소하려면 ‘취소합니다’라고 적어 주세요", "To confirm, type ‘cancel’";
    cancel_word = "취소합니다", "cancel";
    cancel_word_wrong = "확인 문구가 달라요. 취소하지 않았어요.", "The words do not match. Nothing was cancelled.";
    cancel_submit = "회차를 취소하고 모두 환불하기", "Cancel it and refund everyone";
    cancelling = "취소한 회차예요. 환불하고 있어요.", "Cancelled. Refunds are under way.";
    cancel_done = "취소한 회차예요. 환불이 모두 끝났어요.", "Cancelled. Every refund is done.";
    cancel_refunded = "환불한 티켓", "Tickets refunded";
    cancel_remaining = "남은 티켓과 주문", "Tickets and orders left";
    cancel_finished = "끝난 때", "Finished";
    cancelled_on = "취소한 때", "Cancelled";
    issued = "발권", "Issued";
    email = "이메일", "E-mail";
    password = "비밀번호", "Password";
    new_here = "처음이신가요?", "New here?";
    have_account = "이미 계정이 있나요?", "Already have an account?";
    send_code = "인증 코드 받기", "Send me a code";
    sign_up_what = "이메일로 코드를 보내 본인인지 확인해요.", "We send a code to make sure the address is yours.";
    code = "인증 코드", "Code";
    code_sent = "이 주소로 코드를 보냈어요:", "We sent a code to:";
    code_missing = "코드가 오지 않았나요? 스팸함도 봐 주세요.", "No code yet? Look in the spam folder too.";
    code_again = "코드 다시 받기", "Send the code again";
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

/// The time there is left to pay, in whole minutes: `5분 남았어요`; `5 min left`.
pub(super) fn time_left(lang: Language, now: Timestamp, until: Timestamp) -> String {
    let minutes = (until.as_millis() - now.as_millis()) / 60_000;
    match (lang, minutes) {
        (Language::Korean, 1..) => format!("{minutes}분 남았어요"),
        (Language::English, 1..) => format!("{minutes} min left"),
        (Language::Korean, _) => "1분도 남지 않았어요".to_owned(),
        (Language::English, _) => "less than a minute left".to_owned(),
    }
}

/// How long until sales open, in words that stay true while a page is read: `3일 뒤에 열려요`; `opens in 3 days`.
pub(super) fn opens_in(lang: Language, now: Timestamp, at: Timestamp) -> String {
    let days = (at.seoul().date() - now.seoul().date()).whole_days();
    let minutes = (at.as_millis() - now.as_millis()) / 60_000;
    match (lang, days, minutes / 60) {
        (Language::Korean, 2.., _) => format!("{days}일 뒤에 열려요"),
        (Language::English, 2.., _) => format!("Opens in {days} days"),
        (Language::Korean, 1, _) => "내일 열려요".to_owned(),
        (Language::English, 1, _) => "Opens tomorrow".to_owned(),
        (Language::Korean, _, hours @ 1..) => format!("오늘, {hours}시간쯤 뒤에 열려요"),
        (Language::English, _, 1) => "Opens today, in about an hour".to_owned(),
        (Language::English, _, hours @ 2..) => format!("Opens today, in about {hours} hours"),
        (Language::Korean, ..) if minutes > 0 => format!("{minutes}분 뒤에 열려요"),
        (Language::English, ..) if minutes > 0 => format!("Opens in {minutes} min"),
        (Language::Korean, ..) => "곧 열려요".to_owned(),
        (Language::English, ..) => "Opens in a moment".to_owned(),
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

/// `‘뮤지컬’ 검색 결과예요`; `showing ‘뮤지컬’`.
pub(super) fn read_as(lang: Language, text: &str) -> String {
    match lang {
        Language::Korean => format!("‘{text}’ 검색 결과예요"),
        Language::English => format!("showing ‘{text}’"),
    }
}

/// How a place in a ranking changed, as it is read aloud.
pub(super) fn moved(lang: Language, movement: Movement) -> String {
    match (lang, movement) {
        (Language::Korean, Movement::New) => "새로 올랐어요".to_owned(),
        (Language::English, Movement::New) => "new".to_owned(),
        (Language::Korean, Movement::Same) => "그대로예요".to_owned(),
        (Language::English, Movement::Same) => "unchanged".to_owned(),
        (Language::Korean, Movement::Up { places }) => format!("{places}계단 올랐어요"),
        (Language::English, Movement::Up { places }) => format!("up {places}"),
        (Language::Korean, Movement::Down { places }) => format!("{places}계단 내렸어요"),
        (Language::English, Movement::Down { places }) => format!("down {places}"),
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

/// The language of what organisers and banks write, where it is not the page's.
pub(super) const fn korean(page: Language) -> Option<&'static str> {
    match page {
        Language::Korean => None,
        Language::English => Some("ko"),
    }
}

/// Who may watch, in the reader's language, where it is said in one of the usual ways.
pub(super) fn rating(lang: Language, said: &str) -> String {
    if lang == Language::Korean {
        return said.to_owned();
    }
    let age = said.trim_start_matches('만').trim_start().strip_suffix("세 이상");
    let months = said.strip_suffix("개월 이상");
    match (age.and_then(|n| n.parse::<u32>().ok()), months.and_then(|n| n.trim().parse::<u32>().ok())) {
        (Some(years), _) => format!("Ages {years} and over"),
        (_, Some(months)) => format!("From {months} months"),
        _ if said.replace(' ', "").starts_with("전체관람") => "All ages".to_owned(),
        _ => said.to_owned(),
    }
}

/// The limits of seats, said before they are hit.
pub(super) fn limit(lang: Language, limits: BuyerLimits) -> String {
    let (hold, here, event) = (limits.hold_seats_max, limits.performance_seats_max, limits.event_seats_max);
    let (here, event) = ((hold < here).then_some(here), (here < event).then_some(event));
    match lang {
        Language::Korean => {
            let here = here.map(|n| format!(", 이 회차에서 {n}석")).unwrap_or_default();
            let event = event.map(|n| format!(", 이 공연에서 모두 {n}석")).unwrap_or_default();
            format!("한 번에 {hold}석{here}{event}까지 고를 수 있어요.")
        }
        Language::English => {
            let here = here.map(|n| format!(", {n} for this date")).unwrap_or_default();
            let event = event.map(|n| format!(", {n} for all dates")).unwrap_or_default();
            format!("You may choose up to {hold} seats at once{here}{event}.")
        }
    }
}

/// What a refund's button does: `126,000원 환불받기`; `Get ₩126,000 back`. Where it does not come by rule, it is asked for.
pub(super) fn refund_button(lang: Language, amount: Krw, by_rule: bool) -> String {
    let sum = money(lang, amount);
    match (lang, by_rule) {
        (Language::Korean, true) => format!("{sum} 환불받기"),
        (Language::Korean, false) => format!("{sum} 환불 요청하기"),
        (Language::English, true) => format!("Get {sum} back"),
        (Language::English, false) => format!("Ask for {sum} back"),
    }
}

/// A row of the table of fees, which goes on to where the one before it begins: `공연 10일 전까지`, `9–7일 전`, `공연 당일`.
pub(super) fn days_before(lang: Language, from: i64, longer: Option<i64>) -> String {
    match (lang, from, longer.map(|longer| longer - 1)) {
        (Language::Korean, _, None) => format!("공연 {from}일 전까지"),
        (Language::Korean, 0, _) => "공연 당일".to_owned(),
        (Language::Korean, _, Some(to)) if to == from => format!("{from}일 전"),
        (Language::Korean, _, Some(to)) => format!("{to}–{from}일 전"),
        (Language::English, _, None) => format!("{from} days before or earlier"),
        (Language::English, 0, _) => "On the day".to_owned(),
        (Language::English, _, Some(to)) if to == from => format!("{from} days before"),
        (Language::English, _, Some(to)) => format!("{to}–{from} days before"),
    }
}

/// When a refund costs nothing whatever the table says.
pub(super) fn free_after_buying(lang: Language) -> String {
    let (hours, days) = (FREE_AFTER_BUYING_MS / 3_600_000, FREE_DAYS_BEFORE_MIN);
    match lang {
        Language::Korean => format!("공연 {days}일 전까지는 예매하고 {hours}시간 안이면 수수료가 없어요."),
        Language::English => format!("Up to {days} days before, there is no fee within {hours} hours of booking."),
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

/// `1,200`.
pub(super) fn number(n: u32) -> String {
    grouped(n)
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
        assert_eq!(days_before(Language::Korean, 10, None), "공연 10일 전까지");
        assert_eq!(days_before(Language::Korean, 7, Some(10)), "9–7일 전");
        assert_eq!(days_before(Language::English, 0, Some(1)), "On the day");
        assert_eq!(free_after_buying(Language::Korean), "공연 3일 전까지는 예매하고 24시간 안이면 수수료가 없어요.");
        let opens =
            |ms: i64| (opens_in(Language::Korean, t, t.plus_ms(ms)), opens_in(Language::English, t, t.plus_ms(ms)));
        let hour = 3_600_000;
        for (ms, korean, english) in [
            (60 * hour, "3일 뒤에 열려요", "Opens in 3 days"),
            (5 * hour, "내일 열려요", "Opens tomorrow"),
            (2 * hour, "오늘, 2시간쯤 뒤에 열려요", "Opens today, in about 2 hours"),
            (59 * 60_000, "59분 뒤에 열려요", "Opens in 59 min"),
            (1_000, "곧 열려요", "Opens in a moment"),
        ] {
            assert_eq!(opens(ms), (korean.to_owned(), english.to_owned()), "{ms}");
        }
        let limits = |hold_seats_max, performance_seats_max, event_seats_max| BuyerLimits {
            hold_seats_max,
            performance_seats_max,
            event_seats_max,
        };
        for (limits, korean, english) in [
            (limits(4, 4, 4), "한 번에 4석까지 고를 수 있어요.", "You may choose up to 4 seats at once."),
            (
                limits(4, 4, 12),
                "한 번에 4석, 이 공연에서 모두 12석까지 고를 수 있어요.",
                "You may choose up to 4 seats at once, 12 for all dates.",
            ),
            (
                limits(2, 4, 8),
                "한 번에 2석, 이 회차에서 4석, 이 공연에서 모두 8석까지 고를 수 있어요.",
                "You may choose up to 2 seats at once, 4 for this date, 8 for all dates.",
            ),
        ] {
            assert_eq!(
                (limit(Language::Korean, limits), limit(Language::English, limits)),
                (korean.into(), english.into())
            );
        }
        for (said, english) in [
            ("만 8세 이상", "Ages 8 and over"),
            ("19세 이상", "Ages 19 and over"),
            ("전체관람가", "All ages"),
            ("24개월 이상", "From 24 months"),
            ("누구나", "누구나"),
        ] {
            assert_eq!(
                (rating(Language::English, said), rating(Language::Korean, said)),
                (english.into(), said.into())
            );
        }
        assert_eq!(minutes(Language::Korean, 175), "2시간 55분");
        assert_eq!(money(Language::English, Krw(150_000)), "₩150,000");
    }
}
