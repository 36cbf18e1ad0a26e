/* The simulated Toss Payments SDK: the same calls, a checkout page without money. */
(function () {
  "use strict";
  var origin = new URL(document.currentScript.src).origin;

  function TossPayments(clientKey) {
    function payment(options) {
      if (!options || !options.customerKey) throw new Error("customerKey is required");
      return {
        requestPayment: function (request) {
          return new Promise(function (_resolve, reject) {
            var amount = request && request.amount;
            if (!amount || amount.currency !== "KRW" || !Number.isSafeInteger(amount.value) || amount.value <= 0) {
              reject(Object.assign(new Error("amount must be {currency: 'KRW', value: a positive integer}"), {
                code: "INVALID_AMOUNT",
              }));
              return;
            }
            var query = new URLSearchParams({
              clientKey: clientKey,
              orderId: request.orderId,
              amount: String(amount.value),
              orderName: request.orderName,
              successUrl: new URL(request.successUrl, location.href).href,
              failUrl: new URL(request.failUrl, location.href).href,
            });
            location.assign(origin + "/checkout?" + query.toString());
          });
        },
      };
    }
    return { payment: payment };
  }
  TossPayments.ANONYMOUS = "ANONYMOUS";
  window.TossPayments = TossPayments;
})();
