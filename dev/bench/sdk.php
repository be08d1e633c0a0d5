<?php
/**
 * The guide's way: Matomo's own SDK posts each order by itself. The orders come in as
 * JSON, with the parameters that the addon has sent; what it cost goes out as JSON.
 */

$task = json_decode(stream_get_contents(STDIN), true);
require $task['sdk'];

function track(array $order, array $task)
{
    $tracker = new MatomoTracker($task['idsite'], $task['url']);
    $tracker->setTokenAuth($task['token']);
    $tracker->setVisitorId($order['cid']);
    $tracker->setForceVisitDateTime($order['cdt']);
    $tracker->setUrl($order['url']);
    $tracker->setIp($order['cip']);
    $tracker->setUserAgent($order['ua'] ?? '');
    foreach (json_decode($order['ec_items'], true) as [$sku, $name, $categories, $price, $quantity]) {
        $tracker->addEcommerceItem($sku, $name, $categories, $price, $quantity);
    }
    $tracker->setRequestTimeout(7);
    return $tracker->doTrackEcommerceOrder(
        $order['ec_id'],
        $order['revenue'],
        $order['ec_st'],
        $order['ec_tx'],
        $order['ec_sh'],
        $order['ec_dt']
    );
}

function cpu()
{
    $used = getrusage();
    return $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']
        + ($used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']) / 1e6;
}

$start = microtime(true);
$cpu = cpu();
foreach ($task['orders'] as $order) {
    track($order, $task);
}
echo json_encode(['seconds' => microtime(true) - $start, 'cpu' => cpu() - $cpu]);
