/**
 * Matomo's tag: page views and product views.
 *
 * A file of its own, without inline code, works under a Content-Security-Policy.
 * Nothing is loaded from Matomo before the shopper may be followed.
 */
(() => {
    "use strict";

    const SECRET_PARAMETERS = [
        "access_token",
        "token",
        "auth_signup_token",
        "signature",
    ];
    const settings = document.currentScript.dataset;
    let isStarted = false;

    function isRefusedByBrowser() {
        const isAsked = navigator.doNotTrack === "1" || navigator.globalPrivacyControl;
        return Boolean(settings.respectDnt && isAsked);
    }

    /** Whether "accept all" was clicked in the website's cookie bar, now or before. */
    function isAccepted() {
        const cookie = document.cookie
            .split("; ")
            .find((each) => each.startsWith("website_cookies_bar="));
        try {
            const value = decodeURIComponent(cookie.slice(cookie.indexOf("=") + 1));
            return JSON.parse(value).optional === true;
        } catch {
            return false;
        }
    }

    /** An address without what opens a document to whoever has it. */
    function withoutSecrets(address) {
        try {
            const url = new URL(address);
            SECRET_PARAMETERS.forEach((name) => url.searchParams.delete(name));
            return url.href;
        } catch {
            return address;
        }
    }

    function start() {
        if (isStarted) {
            return;
        }
        isStarted = true;
        const paq = (window._paq = []);
        paq.push(["setTrackerUrl", settings.tracker]);
        paq.push(["setSiteId", settings.site]);
        paq.push(["setCustomUrl", withoutSecrets(location.href)]);
        if (document.referrer) {
            paq.push(["setReferrerUrl", withoutSecrets(document.referrer)]);
        }
        const element = document.querySelector("[data-matomo-view]");
        if (element) {
            const view = JSON.parse(element.dataset.matomoView);
            paq.push(
                view.sku
                    ? [
                          "setEcommerceView",
                          view.sku,
                          view.name,
                          view.categories,
                          view.price,
                      ]
                    : ["setEcommerceView", false, false, view.category]
            );
        }
        paq.push(["trackPageView"]);
        paq.push(["enableLinkTracking"]);
        const script = document.createElement("script");
        script.async = true;
        script.src = settings.script;
        document.head.append(script);
    }

    // Another tag would count every page twice.
    if (window._paq || isRefusedByBrowser()) {
        return;
    }
    if (!settings.askCookieBar || isAccepted()) {
        start();
    } else {
        document.addEventListener("optionalCookiesAccepted", start);
    }
    document.addEventListener("optionalCookiesDenied", () => {
        if (isStarted && settings.askCookieBar) {
            // Removes its cookies, too; the next page does not start it.
            window._paq.push(["disableCookies"]);
        }
    });
})();
