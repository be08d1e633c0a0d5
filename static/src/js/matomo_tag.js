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
    // Calls a method of our tracker, once there is one: name, values.
    let call = null;

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

    /** Whether a tracker sends to the same site of the same Matomo. */
    function isOurs(address, site) {
        try {
            const host = address && new URL(address, location.href).host;
            return (
                String(site) === settings.site &&
                (!host || host === new URL(settings.tracker).host)
            );
        } catch {
            return false;
        }
    }

    /** Whether another tag tracks our site already: it would count every page twice. */
    function isTracked() {
        if (window.Matomo) {
            return window.Matomo.getAsyncTrackers().some((tracker) =>
                isOurs(tracker.getTrackerUrl(), tracker.getSiteId())
            );
        }
        const calls = Array.from(window._paq || []);
        const last = (name) => calls.findLast((call) => call[0] === name)?.[1];
        return (
            isOurs(last("setTrackerUrl"), last("setSiteId")) ||
            calls.some((call) => call[0] === "addTracker" && isOurs(call[1], call[2]))
        );
    }

    /** Load matomo.js, if no other tag has, and then go on. */
    function load(then = () => {}) {
        if (window.Matomo) {
            then();
            return;
        }
        const script = document.createElement("script");
        script.async = true;
        script.src = settings.script;
        script.addEventListener("load", then);
        document.head.append(script);
    }

    /** What is to be tracked on this page, as calls of a tracker. */
    function getCalls() {
        const calls = [["setCustomUrl", withoutSecrets(location.href)]];
        if (document.referrer) {
            calls.push(["setReferrerUrl", withoutSecrets(document.referrer)]);
        }
        const element = document.querySelector("[data-matomo-view]");
        if (element) {
            const {sku, name, categories, price, category} = JSON.parse(
                element.dataset.matomoView
            );
            calls.push(
                sku
                    ? ["setEcommerceView", sku, name, categories, price]
                    : ["setEcommerceView", false, false, category]
            );
        }
        return [...calls, ["trackPageView"], ["enableLinkTracking"]];
    }

    function start() {
        if (call || isTracked()) {
            return;
        }
        if (window._paq || window.Matomo) {
            // The queue is another site's: what we push into it would go there, too.
            let tracker = null;
            const later = getCalls();
            call = (name, ...values) =>
                tracker ? tracker[name](...values) : later.push([name, ...values]);
            load(() => {
                if (!isTracked()) {
                    const {tracker: address, site} = settings;
                    tracker = window.Matomo.getTracker(address, site);
                    later.forEach((each) => call(...each));
                }
            });
            return;
        }
        window._paq = [
            ["setTrackerUrl", settings.tracker],
            ["setSiteId", settings.site],
            ...getCalls(),
        ];
        call = (...values) => window._paq.push(values);
        load();
    }

    if (isRefusedByBrowser()) {
        return;
    }
    if (!settings.askCookieBar || isAccepted()) {
        start();
    } else {
        document.addEventListener("optionalCookiesAccepted", start);
    }
    document.addEventListener("optionalCookiesDenied", () => {
        if (call && settings.askCookieBar) {
            // Removes its cookies, too; the next page does not start it.
            call("disableCookies");
        }
    });
})();
