{
    "name": "Matomo Order Tracking: a Third Channel",
    "summary": "Tickets are orders, too: what another module needs to track its own",
    "version": "19.0.1.0.0",
    "author": "Matomo Order Tracking contributors",
    "license": "LGPL-3",
    "depends": ["matomo_order_tracking"],
    "data": ["security/ir.model.access.csv", "rule.xml"],
}
