// The pay button: opens the window of Toss Payments with what the page says. Amounts are checked again on the server.
const button = document.getElementById("pay");
const said = document.getElementById("pay-said");

if (button && said) {
  let over = false;
  addEventListener("nugul:over", () => { over = true; });
  if (typeof window.TossPayments !== "function") {
    said.textContent = said.dataset.failed;
  } else {
    said.textContent = "";
    button.disabled = over;
  }
  button.addEventListener("click", async () => {
    const d = button.dataset;
    button.disabled = true;
    try {
      await window.TossPayments(d.clientKey).payment({ customerKey: d.customerKey }).requestPayment({
        method: "CARD",
        amount: { currency: "KRW", value: Number(d.amount) },
        orderId: d.orderId,
        orderName: d.orderName,
        successUrl: new URL(d.successUrl, location.href).href,
        failUrl: new URL(d.failUrl, location.href).href,
      });
    } catch {
      said.textContent = said.dataset.stopped;
      button.disabled = over;
    }
  });
}
