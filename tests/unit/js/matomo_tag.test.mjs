/** Matomo's tag, as it behaves on a page. Run it alone with `node --test`. */
import {answerBar, open, prepare} from "./page.mjs";
import {describe, it} from "node:test";
import assert from "node:assert/strict";

const SHOP = "https://shop.example.com";
const BAR = {consent: "cookie_bar"};
const OURS = "https://matomo.example.com/matomo.php";

describe("a page view", () => {
    it("goes to the site of the settings, with the address of the page", () => {
        const page = open();
        assert.deepEqual(page.told("setTrackerUrl"), [[OURS]]);
        assert.deepEqual(page.told("setSiteId"), [["1"]]);
        assert.deepEqual(page.told("setCustomUrl"), [[`${SHOP}/shop`]]);
        assert.deepEqual(page.told("trackPageView"), [[]]);
        assert.equal(page.scripts[0].src, "https://matomo.example.com/matomo.js");
    });

    it("names the product of the page", () => {
        const view = {name: "Chair", categories: ["Seats"], price: 100};
        const page = open({
            elements: {
                "[data-matomo-view]": {dataset: {matomoView: JSON.stringify(view)}},
            },
        });
        assert.deepEqual(page.told("setEcommerceView"), [
            [false, "Chair", ["Seats"], 100],
        ]);
    });

    it("names the customer who is logged in", () => {
        assert.deepEqual(open().told("setUserId"), []);
        const page = open({settings: {userId: "0a1b"}});
        assert.deepEqual(page.told("setUserId"), [["0a1b"]]);
    });

    it("measures how long it is read, if that is wanted", () => {
        assert.deepEqual(open().told("enableHeartBeatTimer"), []);
        const page = open({settings: {heartbeat: "1"}});
        assert.deepEqual(page.told("enableHeartBeatTimer"), [[]]);
    });

    for (const [path, title] of [
        ["/shop/cart", "Web shop cart"],
        ["/fr/shop/cart", "Web shop cart"],
        ["/shop/address", "Web shop checkout: address"],
        ["/pt_BR/shop/checkout", "Web shop checkout: delivery"],
        ["/shop/payment", "Web shop checkout: payment"],
        ["/shop/confirmation", "Web shop order"],
        ["/shop", null],
        ["/shop/chair-7", null],
        ["/blog/cart", null],
        ["/", null],
    ]) {
        it(`has the title of its kind: ${path}`, () => {
            const page = open({address: SHOP + path});
            assert.deepEqual(page.told("setDocumentTitle"), title ? [[title]] : []);
        });
    }

    it("is a search where something was searched", () => {
        const search = {keyword: "chair", category: "Seats", count: 0};
        const dataset = {matomoSearch: JSON.stringify(search)};
        const page = open({elements: {"[data-matomo-search]": {dataset}}});
        assert.deepEqual(page.told("trackSiteSearch"), [["chair", "Seats", 0]]);
        assert.deepEqual(page.told("trackPageView"), []);
    });

    it("never sends a cart or an order", () => {
        const page = open({address: `${SHOP}/shop/confirmation`});
        const sent = page.calls
            .map(([name]) => name)
            .filter((name) => /Cart|Order/.test(name));
        assert.deepEqual(sent, []);
    });
});

describe("secrets", () => {
    const token = "0123456789abcdef0123456789abcdef";
    for (const [path, told] of [
        ["/shop?access_token=Canary&search=chair#Canary", "/shop?search=chair"],
        [
            "/shop?utm_campaign=a&gclid=b&mtm_kwd=c",
            "/shop?utm_campaign=a&gclid=b&mtm_kwd=c",
        ],
        ["/shop?page=2&order=name", "/shop?page=2"],
        [`/invited/${token}/page`, "/invited/-/page"],
        ["/invited/6a1f2b3c-0000-4000-8000-0123456789ab", "/invited/-"],
        ["/shop/office-chair-with-12-wheels-7", "/shop/office-chair-with-12-wheels-7"],
    ]) {
        it(`are left out of ${path}`, () => {
            const page = open({address: SHOP + path});
            assert.deepEqual(page.told("setCustomUrl"), [[SHOP + told]]);
        });
    }

    it("are left out, but for what the settings name", () => {
        const address = `${SHOP}/shop?color=red&ref=a&token=Canary&colors=Canary`;
        const page = open({address, settings: {parameters: "color ref"}});
        assert.deepEqual(page.told("setCustomUrl"), [[`${SHOP}/shop?color=red&ref=a`]]);
    });

    for (const [referrer, told] of [
        ["", ""],
        ["https://news.example.com/a?q=Canary#Canary", "https://news.example.com/a"],
        [`${SHOP}/shop?search=a&token=Canary`, `${SHOP}/shop?search=a`],
        [`${SHOP}/my/orders/1?access_token=Canary`, ""],
        [`${SHOP}/fr_BE/my/orders/1`, ""],
        ["https://other.example.com/my/page", "https://other.example.com/my/page"],
        ["android-app://com.example/", ""],
    ]) {
        it(`are left out of the referrer ${referrer || "that is empty"}`, () => {
            const page = open({referrer});
            assert.deepEqual(page.told("setReferrerUrl"), [[told]]);
        });
    }
});

describe("a private page", () => {
    for (const path of [
        "/my",
        "/my/orders/1",
        "/fr/my",
        "/fr_BE/web/login",
        "/r/abc",
    ]) {
        it(`is not tracked: ${path}`, () => {
            const page = open({address: SHOP + path});
            assert.deepEqual(page.scripts, []);
            assert.deepEqual(page.listeners, {});
        });
    }

    for (const path of ["/", "/shop", "/shop/payment", "/mystery", "/fr/shop"]) {
        it(`is no other one: ${path}`, () => {
            const page = open({address: SHOP + path});
            assert.equal(page.told("trackPageView").length, 1);
        });
    }
});

describe("a refusal", () => {
    for (const [name, options] of [
        ["Do Not Track", {navigator: {doNotTrack: "1"}}],
        ["Global Privacy Control", {navigator: {globalPrivacyControl: true}}],
        ["matomo.js's own cookie", {cookie: "mtm_consent_removed=1763000000"}],
    ]) {
        it(`loads nothing: ${name}`, () => {
            assert.deepEqual(open(options).scripts, []);
        });
    }

    it("by Do Not Track counts only where the site wants it", () => {
        const page = open({navigator: {doNotTrack: "1"}, settings: {respectDnt: ""}});
        assert.equal(page.told("trackPageView").length, 1);
    });
});

describe("the cookie bar", () => {
    it("is waited for", () => {
        const page = prepare({settings: BAR}).run();
        assert.deepEqual(page.scripts, []);
        assert.equal(page.window._paq, undefined);
        page.dispatch("optionalCookiesAccepted");
        page.loadMatomo();
        assert.equal(page.told("trackPageView").length, 1);
    });

    it("was accepted before", () => {
        const page = open({cookie: answerBar(true), settings: BAR});
        assert.equal(page.told("trackPageView").length, 1);
    });

    for (const cookie of [
        answerBar(false),
        "website_cookies_bar=true",
        "website_cookies_bar=%",
        "other_website_cookies_bar=1",
    ]) {
        it(`was not accepted: ${cookie}`, () => {
            assert.deepEqual(open({cookie, settings: BAR}).scripts, []);
        });
    }

    it("starts the tag once", () => {
        const page = prepare({settings: BAR}).run();
        page.dispatch("optionalCookiesAccepted");
        page.dispatch("optionalCookiesAccepted");
        assert.equal(page.scripts.length, 1);
    });

    it("ends the tag on the page where the shopper refuses", () => {
        const page = open({cookie: answerBar(true), settings: BAR});
        page.dispatch("optionalCookiesDenied");
        assert.equal(page.told("disableCookies").length, 1);
        assert.equal(page.told("requireConsent").length, 1);
    });

    it("is not asked where consent is obtained elsewhere", () => {
        const page = open();
        page.dispatch("optionalCookiesDenied");
        assert.equal(page.told("trackPageView").length, 1);
        assert.deepEqual(page.told("requireConsent"), []);
    });
});

describe("a consent manager", () => {
    const settings = {consent: "matomo_cookie"};
    const ID = "_pk_id.1.1fff=0123456789abcdef.1763000000.";
    const YES = "mtm_consent=1763000000";

    it("is waited for, and nothing is loaded", () => {
        assert.deepEqual(prepare({settings}).run().scripts, []);
        const cookie = "_pk_id.2.1fff=0123456789abcdef.1763000000.";
        assert.deepEqual(prepare({cookie, settings}).run().scripts, []);
    });

    for (const cookie of ["mtm_consent=1763000000", "mtm_cookie_consent=1763000000"]) {
        it(`had matomo.js remember a yes: ${cookie}`, () => {
            const page = open({cookie: `a=b; ${cookie}`, settings});
            assert.equal(page.told("trackPageView").length, 1);
        });
    }

    it("had matomo.js remember a no", () => {
        const cookie = `${ID}; mtm_consent_removed=1763000000`;
        assert.deepEqual(prepare({cookie, settings}).run().scripts, []);
    });

    it("answers before the tag runs", () => {
        const queue = [["requireConsent"], ["setConsentGiven"]];
        assert.equal(open({queue, settings}).told("trackPageView").length, 1);
        const refusal = [["setConsentGiven"], ["forgetConsentGiven"]];
        const page = prepare({cookie: ID, queue: refusal, settings}).run();
        assert.deepEqual(page.scripts, []);
    });

    for (const answer of [
        "setConsentGiven",
        "rememberConsentGiven",
        "setCookieConsentGiven",
        "rememberCookieConsentGiven",
    ]) {
        it(`answers after the tag has run: ${answer}`, () => {
            const page = prepare({settings}).run();
            // As the guides for Cookiebot and others have it.
            page.window._paq.push(["requireConsent"], [answer]);
            page.window._paq.push([answer]);
            assert.equal(page.scripts.length, 1);
            page.loadMatomo();
            assert.equal(page.told(answer).length, 2);
            assert.equal(page.told("trackPageView").length, 1);
        });
    }

    it("withdraws while matomo.js loads", () => {
        const page = prepare({cookie: YES, settings}).run();
        page.window._paq.push(["forgetCookieConsentGiven"], ["forgetConsentGiven"]);
        page.loadMatomo();
        assert.deepEqual(page.told("trackPageView"), []);
    });

    it("withdraws after matomo.js has loaded", () => {
        const page = open({cookie: YES, settings});
        page.window._paq.push(["forgetConsentGiven"]);
        assert.equal(page.told("disableCookies").length, 1);
        assert.equal(page.told("requireConsent").length, 1);
    });

    it("is heard by matomo.js, which has loaded with an empty queue", () => {
        const page = open({cookie: YES, settings});
        assert.equal(page.told("trackPageView").length, 1);
        page.window._paq.push(["forgetConsentGiven"]);
        // matomo.js keeps the no for later pages.
        assert.equal(page.told("forgetConsentGiven").length, 1);
        assert.equal(page.told("requireConsent").length, 1);
    });

    it("agrees after matomo.js was loaded by another tag", () => {
        const page = prepare({queue: [["setSiteId", "7"]], settings});
        page.loadMatomo();
        page.run();
        assert.deepEqual(page.told("setCustomUrl"), []);
        page.window._paq.push(["setConsentGiven"]);
        page.window._paq.push(["setConsentGiven"]);
        assert.equal(page.told("trackPageView").length, 1);
    });

    it("agrees although matomo.js remembers a no of before", () => {
        const page = prepare({
            cookie: "mtm_consent_removed=1763000000",
            settings,
        }).run();
        page.window._paq.push(["setConsentGiven"]);
        page.loadMatomo();
        assert.equal(page.told("trackPageView").length, 1);
    });

    it("ends the cookies on the page on which it says no", () => {
        const queue = [["forgetConsentGiven"]];
        assert.equal(prepare({cookie: ID, queue, settings}).run().document.cookie, "");
    });

    it("cannot allow what the browser forbids", () => {
        const queue = [["setConsentGiven"]];
        const page = prepare({navigator: {doNotTrack: "1"}, queue, settings}).run();
        assert.deepEqual(page.scripts, []);
    });
});

describe("a prerendered page", () => {
    const settings = {arrivalUrl: "/matomo_order_tracking/arrival"};
    const address = "https://shop.example.com/shop?mtm_campaign=x&access_token=secret";
    const referrer = "https://news.example.com/article?id=1";

    it("tells where the shopper comes from, when it is shown", () => {
        const page = open({address, prerendering: true, referrer, settings});
        assert.deepEqual(page.fetched, []);
        page.dispatch("prerenderingchange");
        const [[url, {body, method}]] = page.fetched;
        assert.deepEqual([url, method], [settings.arrivalUrl, "POST"]);
        assert.deepEqual(JSON.parse(body), {
            url: "https://shop.example.com/shop?mtm_campaign=x",
            referrer: "https://news.example.com/article",
        });
    });

    it("is as any other where nothing may be kept, or it was asked for", () => {
        for (const options of [{prerendering: true}, {settings}]) {
            const page = open({address, ...options});
            page.dispatch("prerenderingchange");
            assert.deepEqual(page.fetched, []);
        }
    });
});

describe("without cookies", () => {
    const settings = {consent: "cookieless"};
    const flagsUrl = "/matomo_order_tracking/browser";

    it("matomo.js sets none, whoever else is on the page", () => {
        for (const queue of [null, [["setSiteId", "7"]]]) {
            const page = open({queue, settings});
            const names = page.calls.map(([name]) => name);
            assert.ok(names.includes("disableCookies"));
            assert.ok(names.indexOf("disableCookies") < names.indexOf("trackPageView"));
        }
    });

    it("a no in the cookie bar counts, and silence is none", () => {
        assert.deepEqual(open({cookie: answerBar(false), settings}).scripts, []);
        const page = open({settings});
        page.dispatch("optionalCookiesDenied");
        assert.equal(page.told("requireConsent").length, 1);
    });

    it("the shop learns the flags that Matomo has got", () => {
        const page = open({settings: {...settings, flagsUrl}});
        const [, , then] = page.calls
            .find(([name]) => name === "trackPageView")
            .slice(1);
        const request = "action_name=Shop&cip=1&pdf=1&java=0&cookie=1&res=1280x720";
        then({request, success: true});
        const [[url, options]] = page.fetched;
        assert.equal(url, flagsUrl);
        assert.equal(options.method, "POST");
        assert.equal(options.credentials, "same-origin");
        assert.deepEqual(JSON.parse(options.body), {
            pdf: "1",
            java: "0",
            cookie: "1",
            res: "1280x720",
        });
    });

    it("the shop learns no flags that Matomo has not got", () => {
        const page = open({settings: {...settings, flagsUrl}});
        const [, , then] = page.calls
            .find(([name]) => name === "trackPageView")
            .slice(1);
        then({request: "pdf=1", success: false});
        then({request: "action_name=Shop", success: true});
        then();
        assert.deepEqual(page.fetched, []);
    });

    it("the shop is not told twice", () => {
        const page = open({settings});
        assert.deepEqual(page.told("trackPageView"), [[]]);
    });
});

describe("another tag", () => {
    const queue = (address, site) => [
        ["setTrackerUrl", address],
        ["setSiteId", site],
        ["trackPageView"],
    ];

    it("of our site is enough: no second one counts", () => {
        const page = prepare({
            queue: queue("//matomo.example.com/matomo.php", "1"),
        }).run();
        assert.deepEqual(page.scripts, []);
        page.loadMatomo();
        assert.equal(page.told("trackPageView").length, 1);
    });

    it("may add our site as a second tracker", () => {
        const calls = [
            ...queue("https://stats.example.org/", "7"),
            ["addTracker", OURS, 1],
        ];
        const page = prepare({queue: calls}).run();
        assert.deepEqual(page.scripts, []);
    });

    it("may have loaded already", () => {
        const page = prepare({queue: queue(OURS, "1")});
        page.loadMatomo();
        page.run();
        assert.equal(page.told("trackPageView").length, 1);
    });

    it("of another site gets nothing of ours, and we count", () => {
        const page = prepare({
            queue: queue("https://stats.example.org/m.php", "1"),
        }).run();
        assert.deepEqual(page.window._paq.length, 3);
        page.loadMatomo();
        assert.equal(page.told("trackPageView").length, 2);
        assert.deepEqual(page.told("setCustomUrl"), [[`${SHOP}/shop`]]);
        page.click("https://pay.example.com/");
        assert.deepEqual(page.told("trackLink"), [
            ["https://pay.example.com/", "link"],
        ]);
    });

    it("that comes while matomo.js loads is seen, too", () => {
        const page = prepare({
            queue: queue("https://stats.example.org/m.php", "1"),
        }).run();
        page.window._paq.push(["setTrackerUrl", OURS]);
        page.loadMatomo();
        assert.equal(page.told("trackPageView").length, 1);
    });
});

describe("a link", () => {
    for (const [address, told, attributes] of [
        [
            "https://pay.example.com/a?token=Canary",
            ["https://pay.example.com/a", "link"],
        ],
        [
            "/web/content/7/Guide.pdf?access_token=Canary",
            [`${SHOP}/web/content/7/Guide.pdf`, "download"],
        ],
        ["/files/guide.pdf#Canary", [`${SHOP}/files/guide.pdf`, "download"]],
        ["/files/guide", [`${SHOP}/files/guide`, "download"], ["download"]],
        ["/my/invoices/7.pdf?access_token=Canary", null],
        ["/shop?access_token=Canary", null],
        ["mailto:canary@example.com", null],
    ]) {
        it(`is followed or not: ${address}`, () => {
            const page = open();
            page.click(address, attributes);
            assert.deepEqual(page.told("trackLink"), told ? [told] : []);
        });
    }

    it("is not followed before the shopper agrees", () => {
        const page = prepare({settings: BAR}).run();
        page.click("https://pay.example.com/");
        page.dispatch("optionalCookiesAccepted");
        page.loadMatomo();
        assert.deepEqual(page.told("trackLink"), []);
    });
});
