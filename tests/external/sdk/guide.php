<?php
/**
 * The code of Matomo's guide "Measure 100% of Ecommerce interactions", run on the
 * orders and carts that come in as JSON; what it would send goes out as JSON.
 *
 * The network ends in sendRequest(). Everything above it is the guide's and the
 * SDK's own.
 */

require $argv[1];

class Tracker extends MatomoTracker
{
    public $sent = [];

    protected function sendRequest($url, $method = 'GET', $data = null, $force = false)
    {
        parse_str(parse_url($url, PHP_URL_QUERY), $parameters);
        $this->sent = $parameters;
        return '';
    }
}

function guide_order(array $order)
{
    $tracker = new Tracker(1, 'https://matomo.example.com/');
    $tracker->setTokenAuth('my_token_auth_value_here');
    $tracker->setVisitorId($order['matomoVisitorId']);
    if (!empty($order['userAgent'])) {
        $tracker->setUserAgent($order['userAgent']);
    }
    if (!empty($order['ipAddress'])) {
        $tracker->setIp($order['ipAddress']);
    }
    if (!empty($order['attributionInfo'])) {
        $tracker->setAttributionInfo($order['attributionInfo']);
    }
    if (in_array($order['orderStatus'], ['cancelled', 'failed', 'pending', 'refunded'])) {
        return null;
    }
    add_items($tracker, $order);
    $tracker->setRequestTimeout($PURCHASE_REQUEST_TIMEOUT_IN_SECONDS = 7);
    $tracker->doTrackEcommerceOrder(
        $order['orderId'],
        $order['revenueTotal'],
        $order['revenueSubtotal'],
        $order['revenueTax'],
        $order['revenueShipping'],
        $order['revenueDiscount']
    );
    return $tracker->sent;
}

function guide_cart(array $cart)
{
    $tracker = new Tracker(1, 'https://matomo.example.com/');
    $tracker->setTokenAuth('my_token_auth_value_here');
    add_items($tracker, $cart);
    $tracker->setRequestTimeout($CART_UPDATE_REQUEST_TIMEOUT_IN_SECONDS = 2);
    $tracker->doTrackEcommerceCartUpdate($cart['revenueTotal']);
    return $tracker->sent;
}

function add_items(Tracker $tracker, array $order)
{
    foreach ($order['products'] as $product) {
        $sku = $product['sku'];
        $price = $product['total'];
        $title = $product['title'];
        $categories = $product['categories'];
        $quantity = $product['qty'];
        $tracker->addEcommerceItem($sku, $title, $categories, $price, $quantity);
    }
}

$input = json_decode(stream_get_contents(STDIN), true);
echo json_encode([
    'orders' => array_map('guide_order', $input['orders']),
    'carts' => array_map('guide_cart', $input['carts']),
]);
