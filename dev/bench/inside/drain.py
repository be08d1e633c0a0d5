"""Draining the queue, and a bare loop that posts the same without Odoo."""

import http.client
import json
from urllib.parse import urlsplit

from odoo.addons.matomo_order_tracking.matomo_api.tracking import page_view_parameters
from odoo.addons.matomo_order_tracking.outbox.sender import Sender

from . import profile, shop
from .cost import measured

# The bodies that this process is about to post, ready-made.
ready = []


def set_up(env, url, token, idsite):
    """Connect the shop; return the ids of the orders to be copied."""
    shop.connect(env, url, token, idsite)
    return shop.make_orders(env)


def sell(env, templates, count, first):
    """Put new orders into the queue; return their ids."""
    return shop.copy_orders(env, templates, count, first)


def send(env):
    """Send what is due, as one lane does; return what it cost."""
    with measured() as cost:
        Sender(env).run()
    return cost


def send_profiled(env):
    """Do the same; return where the time went, see ``profile``."""
    with profile.stages(env.registry) as found:
        Sender(env).run()
    return found


def get_sent(env, orders):
    """Return of each order what was sent, in the sequence of sending."""
    requests = env["matomo.request"].search(
        [("sale_order_id", "in", orders)], order="order_date, id"
    )
    bad = requests.filtered(
        lambda each: (each.state, each.attempt_count) != ("sent", 1)
    )
    assert not bad, f"{len(bad)} of {len(requests)} orders were not sent at once"
    return requests.mapped("payload")


def prepare(_env, payloads, idsite, token, size):
    """Make the bodies of requests with ``size`` orders each, for another Matomo site.

    As the sender's, each comes after one with the page views of its orders.
    """
    payloads = [{**payload, "idsite": str(idsite)} for payload in payloads]
    ready.clear()
    for start in range(0, len(payloads), size):
        orders = payloads[start : start + size]
        views = list(filter(None, map(page_view_parameters, orders)))
        for requests in filter(None, (views, orders)):
            body = {"requests": requests, "token_auth": token}
            ready.append((len(requests), json.dumps(body).encode()))


def post(_env, url):
    """Post what is ready, one after the other; return what it cost."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc)
    headers = {"Content-Type": "application/json"}
    path = f"{address.path}matomo.php?queuedtracking=0"
    with measured() as cost:
        for count, body in ready:
            connection.request("POST", path, body, headers)
            answer = json.loads(connection.getresponse().read())
            assert answer["tracked"] == count, answer
    connection.close()
    return cost


TASKS = {
    task.__name__: task
    for task in (set_up, sell, send, send_profiled, get_sent, prepare, post)
}
