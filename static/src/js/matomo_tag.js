/**
 * Matomo's tag: page views and product views.
 *
 * A file of its own, without inline code, works under a Content-Security-Policy.
 * Nothing is loaded from Matomo before the shopper may be followed.
 */
(() => {
    "use strict";

    // What Matomo may learn of an address: campaigns, what was searched and paged, and
    // what the site's settings name. Other parameters may open a document to whoever has
    // them.
    const PARAMETERS =
        /^((utm|mtm|pk|piwik|matomo)_\w+|gclid|gbraid|wbraid|dclid|msclkid|fbclid|search|page)$/;
    // Pages of one person, and pages whose path is a secret.
    const PRIVATE_PAGES = new Set([
        "calendar",
        "chat",
        "coupon",
        "dashboard",
        "digest",
        "discuss",
        "documents",
        "hr_attendance",
        "mail",
        "mailing",
        "meet",
        "my",
        "odoo",
        "payment",
        "pos",
        "pos-self",
        "pos_customer_display",
        "r",
        "rate",
        "rating",
        "s",
        "sign",
        "sms",
        "survey",
        "web",
    ]);
    const LANGUAGE = /^[a-z]{2,3}([-_][A-Za-z@]+)?$/;
    // The readable names of products and pages have no such parts.
    const TOKEN =
        /[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{16,}/i;
    // Pages of the shop that Odoo gives no title of their own, or one in the language of
    // the shopper. Orders and carts from the server have such titles, too.
    const SHOP_PAGES = new Map([
        ["cart", "Web shop cart"],
        ["address", "Web shop checkout: address"],
        ["checkout", "Web shop checkout: delivery"],
        ["extra_info", "Web shop checkout: extra information"],
        ["payment", "Web shop checkout: payment"],
        ["confirmation", "Web shop order"],
    ]);
    // Where Odoo keeps the files of public pages.
    const FILES = "/web/content/";
    const DOWNLOAD =
        /\.(7z|apk|avi|bz2|csv|dmg|docx?|epub|exe|gz|iso|mp[34]|mpe?g|od[bfgpst]|pdf|pptx?|rar|tar|txt|wav|webm|xlsx?|xml|zip)$/i;
    // What a consent manager tells matomo.js through its queue, and what that means.
    const ANSWERS = new Map([
        ["setConsentGiven", true],
        ["rememberConsentGiven", true],
        ["setCookieConsentGiven", true],
        ["rememberCookieConsentGiven", true],
        ["forgetConsentGiven", false],
        ["forgetCookieConsentGiven", false],
        ["optUserOut", false],
    ]);
    // What matomo.js tells of a browser's plugins, and of its screen.
    const FLAGS = ["pdf", "qt", "realp", "wma", "fla", "java", "ag", "cookie", "res"];
    const settings = document.currentScript.dataset;
    const parameters = new Set((settings.parameters || "").split(" ").filter(Boolean));
    // Calls a method of our tracker, once there is one: name, values.
    let call = null;
    // Whether the shopper has said no on this page.
    let isEnded = false;

    /** Whether the browser asks not to be tracked. */
    function isObjected() {
        const isAsked = navigator.doNotTrack === "1" || navigator.globalPrivacyControl;
        return Boolean(settings.respectDnt && isAsked);
    }

    function hasCookie(name) {
        return new RegExp(`(^|; )${name}=[^;]`).test(document.cookie);
    }

    /** The parts of a path, without the language of the page. */
    function getParts(path) {
        const parts = path.split("/").filter(Boolean);
        return LANGUAGE.test(parts[0]) && !PRIVATE_PAGES.has(parts[0])
            ? parts.slice(1)
            : parts;
    }

    /** Whether an address is one person's, or a secret itself. */
    function isPrivate(path) {
        return PRIVATE_PAGES.has(getParts(path)[0]);
    }

    /** What was clicked in the website's cookie bar: all, only essential, or nothing. */
    function readCookieBar() {
        const cookie = document.cookie
            .split("; ")
            .find((each) => each.startsWith("website_cookies_bar="));
        try {
            const value = decodeURIComponent(cookie.slice(cookie.indexOf("=") + 1));
            return JSON.parse(value).optional === true;
        } catch {
            return null;
        }
    }

    /** Only the parts of a web address that can be no secret. */
    function withoutSecrets(address) {
        const {origin, pathname, searchParams} = new URL(address);
        const path = pathname
            .split("/")
            .map((part) => (TOKEN.test(part) ? "-" : part))
            .join("/");
        const kept = new URLSearchParams(
            [...searchParams].filter(
                ([name]) => PARAMETERS.test(name) || parameters.has(name)
            )
        ).toString();
        return `${origin}${path}${kept && "?"}${kept}`;
    }

    /** The page from which the visitor came, "" if Matomo may not learn it. */
    function getReferrer() {
        try {
            const {host, pathname, protocol} = new URL(document.referrer);
            const isOwn = host === location.host && isPrivate(pathname);
            const isWeb = protocol.startsWith("http");
            return isWeb && !isOwn ? withoutSecrets(document.referrer) : "";
        } catch {
            return "";
        }
    }

    /**
     * Tell Matomo of a download or of a link that leads away.
     *
     * matomo.js would send the whole address, which may hold a token.
     */
    function followLink(event) {
        const link = event.target.closest?.("a[href], area[href]");
        if (!call || !link?.protocol.startsWith("http")) {
            return;
        }
        const path = link.pathname;
        const isDownload = DOWNLOAD.test(path) || link.hasAttribute("download");
        if (link.host !== location.host) {
            call("trackLink", withoutSecrets(link.href), "link");
        } else if (isDownload && (!isPrivate(path) || path.startsWith(FILES))) {
            call("trackLink", withoutSecrets(`${link.origin}${path}`), "download");
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
        const calls = [
            ["setCustomUrl", withoutSecrets(location.href)],
            ["setReferrerUrl", getReferrer()],
        ];
        if (settings.consent === "cookieless") {
            calls.unshift(["disableCookies"]);
        }
        if (settings.userId) {
            calls.push(["setUserId", settings.userId]);
        }
        if (settings.heartbeat) {
            calls.push(["enableHeartBeatTimer"]);
        }
        const [first, second] = getParts(location.pathname);
        if (first === "shop" && SHOP_PAGES.has(second)) {
            calls.push(["setDocumentTitle", SHOP_PAGES.get(second)]);
        }
        const search = readElement("matomoSearch");
        if (search) {
            // Matomo counts a search instead of a page view.
            const {keyword, category, count} = search;
            return [...calls, ["trackSiteSearch", keyword, category || false, count]];
        }
        const view = readElement("matomoView");
        if (view) {
            const {name, categories, price} = view;
            calls.push(["setEcommerceView", false, name || false, categories, price]);
        }
        // Without cookies an order joins the visit only if it has the same flags.
        const then = settings.flagsUrl ? [undefined, undefined, tellFlags] : [];
        return [...calls, ["trackPageView", ...then]];
    }

    /** What a template of the addon says of this page, null if there is none. */
    function readElement(name) {
        const attribute = name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
        const element = document.querySelector(`[data-${attribute}]`);
        return element && JSON.parse(element.dataset[name]);
    }

    /**
     * Tell the shop what matomo.js has told Matomo of the browser.
     *
     * matomo.js hands out the request that it has sent, and these flags by no other way.
     */
    function tellFlags({request = "", success = false} = {}) {
        const sent = [...new URLSearchParams(request)];
        const flags = sent.filter(([name]) => FLAGS.includes(name));
        if (success && flags.length) {
            send(settings.flagsUrl, Object.fromEntries(flags));
        }
    }

    function start() {
        isEnded = false;
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
                if (!window.Matomo.getAsyncTrackers().length) {
                    // The queue was empty: matomo.js would drop what a consent manager
                    // pushes into it from now on.
                    window.Matomo.addTracker();
                }
                if (settings.consent === "matomo_cookie") {
                    watchQueue();
                }
                if (!isEnded && !isTracked()) {
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

    /** End the tag on this page; the next one does not start it. */
    function stop() {
        isEnded = true;
        if (!call) {
            endCookies();
        }
        // Removes its cookies, too. Without the second call matomo.js would go on
        // without cookies on this page.
        call?.("disableCookies");
        call?.("requireConsent");
    }

    /**
     * Follow the consent manager of the shop, whichever it is.
     *
     * It does not know this tag. It pushes its answer into the queue of matomo.js on each
     * page, as Matomo's guides for consent managers say, or has matomo.js remember it. A
     * visitor ID means that it has let the tag run before.
     */
    function followManager() {
        const isRemembered =
            !hasCookie("mtm_consent_removed") &&
            (hasCookie("mtm_consent") ||
                hasCookie("mtm_cookie_consent") ||
                hasCookie(`[\\w-]*id\\.${settings.site}\\.[0-9a-f]+`));
        const answer = watchQueue();
        if (answer ?? isRemembered) {
            start();
        } else if (answer === false) {
            stop();
        }
    }

    /**
     * End the cookies of an earlier yes, once a consent manager says no.
     *
     * Orders take the visitor ID for a yes. Only the cookies of this host are ended, as
     * matomo.js sets them for this tag, and none that another tag uses on this page.
     */
    function endCookies() {
        if (isTracked()) {
            return;
        }
        const name = new RegExp(`^_pk_(id|ref|ses)\\.${settings.site}\\.[0-9a-f]+$`);
        document.cookie
            .split("; ")
            .map((each) => each.split("=")[0])
            .filter((each) => name.test(each))
            .forEach((each) => {
                document.cookie = `${each}=; path=/; max-age=0`;
            });
    }

    /**
     * Tell the shop where the shopper comes from, once a prerendered page is shown.
     *
     * The browser asks for it only once, when nobody may ever look at it.
     */
    function tellArrival() {
        const told = {url: withoutSecrets(location.href), referrer: getReferrer()};
        send(settings.arrivalUrl, told);
    }

    /** Tell the shop something, as JSON. */
    function send(address, content) {
        fetch(address, {
            method: "POST",
            headers: {"Content-Type": "application/json"},
            body: JSON.stringify(content),
            credentials: "same-origin",
            keepalive: true,
        }).catch(() => {});
    }

    /** Watch the queue of matomo.js from now on. Return the answer that is in it. */
    function watchQueue() {
        const queue = (window._paq ??= []);
        const {push} = queue;
        queue.push = (...calls) => {
            // Before matomo.js gets the calls, which it empties.
            const answer = readAnswer(calls);
            const result = push.apply(queue, calls);
            if (answer !== undefined) {
                (answer ? start : stop)();
            }
            return result;
        };
        return readAnswer(Array.from(queue));
    }

    /** The last answer of a consent manager among calls of matomo.js, if there is one. */
    function readAnswer(calls) {
        return calls
            .map((each) => ANSWERS.get(each?.[0]))
            .findLast((answer) => answer !== undefined);
    }

    if (isPrivate(location.pathname) || isObjected()) {
        return;
    }
    if (document.prerendering && settings.arrivalUrl) {
        document.addEventListener("prerenderingchange", tellArrival, {once: true});
    }
    document.addEventListener("click", followLink, true);
    document.addEventListener("auxclick", followLink, true);
    if (settings.consent === "matomo_cookie") {
        followManager();
    } else if (!hasCookie("mtm_consent_removed")) {
        if (settings.consent === "elsewhere") {
            start();
            return;
        }
        // Without cookies there is nothing to agree to, but a no counts.
        if (readCookieBar() ?? settings.consent === "cookieless") {
            start();
        }
        document.addEventListener("optionalCookiesAccepted", start);
        document.addEventListener("optionalCookiesDenied", stop);
    }
})();
