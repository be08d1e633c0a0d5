{
    "name": "Matomo in a Hurry",
    "summary": "Lets the delivery wait less than people can",
    "version": "19.0.1.0.0",
    "author": "Matomo Order Tracking contributors",
    "license": "LGPL-3",
    "depends": ["matomo_order_tracking"],
    "installable": True,
}
