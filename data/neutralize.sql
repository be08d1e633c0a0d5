-- A copy of a shop's database must not count the shop's orders: no token, no active
-- site, nothing waiting, no scheduled action.
UPDATE matomo_site
   SET token_auth = NULL, active = false;

UPDATE matomo_cart_update
   SET state = 'cancelled'
 WHERE state = 'pending';

UPDATE matomo_request
   SET state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END,
       next_check_date = NULL
 WHERE state = 'pending' OR next_check_date IS NOT NULL;

DELETE FROM matomo_retrack;

UPDATE matomo_job
   SET state = 'stopped'
 WHERE state IN ('running', 'paused');

UPDATE ir_cron
   SET active = false
 WHERE id IN (
    SELECT res_id
      FROM ir_model_data
     WHERE module = 'matomo_order_tracking' AND model = 'ir.cron'
 );
