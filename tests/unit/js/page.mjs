/**
 * A page of the shop on which Matomo's tag runs, without a browser.
 *
 * It has of document and window only what the tag uses. matomo.js is a stand-in, too:
 * what a tracker is told stands in `page.calls`.
 */
import {createContext, runInContext} from "node:vm";
import {readFileSync} from "node:fs";

const TAG = new URL("../../../static/src/js/matomo_tag.js", import.meta.url);
const CODE = readFileSync(TAG, "utf8");
const TRACKER = "https://matomo.example.com/matomo.php";
const SETTINGS = {
    tracker: TRACKER,
    script: "https://matomo.example.com/matomo.js",
    site: "1",
    consent: "elsewhere",
    respectDnt: "1",
};

/** A tracker of matomo.js: it does nothing, and notes what it is told. */
class Tracker {
    constructor(calls, address = "", site = "") {
        this.told = {setTrackerUrl: address, setSiteId: site};
        return new Proxy(this, {
            get: (target, name) =>
                name.startsWith("get")
                    ? () => target.told[name.replace("get", "set")] || ""
                    : (...values) => {
                          target.told[name] = values[0];
                          calls.push([name, ...values]);
                      },
        });
    }
}

class Page {
    constructor({
        address = "https://shop.example.com/shop",
        cookie = "",
        elements = {},
        navigator = {},
        prerendering = false,
        queue = null,
        referrer = "",
        settings = {},
    } = {}) {
        const location = new URL(address);
        this.calls = [];
        this.fetched = [];
        this.listeners = {};
        this.scripts = [];
        this.document = {
            addEventListener: (name, listener) => {
                (this.listeners[name] ??= []).push(listener);
            },
            prerendering,
            createElement: () => {
                const script = {listeners: []};
                script.addEventListener = (_name, then) => script.listeners.push(then);
                return script;
            },
            currentScript: {dataset: {...SETTINGS, ...settings}},
            head: {append: (script) => this.scripts.push(script)},
            querySelector: (selector) => elements[selector] || null,
            referrer,
        };
        this.keepCookies(cookie);
        this.window = {
            URL,
            URLSearchParams,
            document: this.document,
            fetch: async (...request) => this.fetched.push(request),
            location,
            navigator,
        };
        this.window.window = this.window;
        if (queue) {
            this.window._paq = queue;
        }
        createContext(this.window);
    }

    /** Have the document keep cookies as a browser does. */
    keepCookies(text) {
        const pairs = text ? text.split("; ").map((each) => each.split(/=(.*)/)) : [];
        const cookies = new Map(pairs);
        Object.defineProperty(this.document, "cookie", {
            get: () =>
                [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
            set: (line) => {
                const [name, value] = line.split("; ")[0].split(/=(.*)/);
                /max-age=0/.test(line)
                    ? cookies.delete(name)
                    : cookies.set(name, value);
            },
        });
    }

    /** Run the tag. Return the page. */
    run() {
        runInContext(CODE, this.window);
        return this;
    }

    /** Do what the browser does when something happens in the document. */
    dispatch(name, event = {}) {
        (this.listeners[name] || []).forEach((listener) => listener(event));
    }

    /** Click on a link. */
    click(address, attributes = []) {
        const link = new URL(address, this.window.location);
        link.hasAttribute = (name) => attributes.includes(name);
        this.dispatch("click", {target: {closest: () => link}});
    }

    /** Load matomo.js, as it was asked for. */
    loadMatomo() {
        const trackers = [];
        const push = (...calls) =>
            calls.forEach(([name, ...values]) => trackers[0][name](...values));
        this.window.Matomo = {
            addTracker: () => {
                trackers.push(new Tracker(this.calls));
                this.window._paq = {push};
            },
            getAsyncTrackers: () => trackers,
            getTracker: (address, site) => new Tracker(this.calls, address, site),
        };
        const queue = this.window._paq || [];
        // matomo.js drops what is pushed later into a queue that was empty.
        this.window._paq = {push: () => {}};
        if (queue.length) {
            this.window.Matomo.addTracker();
            push(...queue);
        }
        this.scripts.forEach((script) => script.listeners.forEach((then) => then()));
        return this;
    }

    /** The values of the calls of one method, each as an array. */
    told(name) {
        // What is made in the page has other prototypes than what a test compares with.
        const calls = JSON.parse(JSON.stringify(this.calls));
        return calls.filter((call) => call[0] === name).map((call) => call.slice(1));
    }
}

/** Return a page of the shop on which the tag has run and matomo.js is loaded. */
export function open(options) {
    const page = prepare(options).run();
    return page.scripts.length || page.window._paq ? page.loadMatomo() : page;
}

/** Return a page of the shop before its tag runs. */
export function prepare(options) {
    return new Page(options);
}

/** Return what Odoo's cookie bar has left. */
export function answerBar(optional) {
    const answer = JSON.stringify({required: true, optional});
    return `frontend_lang=en_US; website_cookies_bar=${encodeURIComponent(answer)}`;
}
