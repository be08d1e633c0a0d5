CREATE TABLE matomo_reconciliation (
    id integer NOT NULL,
    site_id integer NOT NULL,
    company_id integer,
    currency_id integer,
    odoo_order_count integer,
    matomo_order_count integer,
    order_count_difference integer,
    create_uid integer,
    write_uid integer,
    state character varying NOT NULL,
    day date NOT NULL,
    explanation text,
    odoo_revenue numeric,
    matomo_revenue numeric,
    revenue_difference numeric,
    checked_date timestamp without time zone,
    create_date timestamp without time zone,
    write_date timestamp without time zone
);
CREATE SEQUENCE matomo_reconciliation_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE matomo_reconciliation_id_seq OWNED BY matomo_reconciliation.id;
CREATE TABLE matomo_request (
    id integer NOT NULL,
    company_id integer NOT NULL,
    site_id integer,
    sale_order_id integer,
    pos_order_id integer,
    attempt_count integer,
    currency_id integer,
    duration_ms integer,
    answer_status integer,
    create_uid integer,
    write_uid integer,
    error_count integer,
    refund_move_id integer,
    unsettled_count integer,
    missing_count integer,
    partner_id integer,
    kind character varying NOT NULL,
    channel character varying,
    state character varying NOT NULL,
    order_ref character varying,
    order_ref_key character varying,
    failure_type character varying,
    refunded_id character varying,
    payload jsonb,
    reason text,
    notes text,
    tracking_url text,
    answer_text text,
    revenue numeric,
    is_backfill boolean,
    check_first boolean,
    is_blanked boolean,
    is_forgotten boolean,
    order_date timestamp without time zone,
    next_attempt_date timestamp without time zone,
    sent_date timestamp without time zone,
    verified_date timestamp without time zone,
    create_date timestamp without time zone,
    write_date timestamp without time zone,
    next_check_date timestamp without time zone,
    CONSTRAINT matomo_request_one_order CHECK ((num_nonnulls(sale_order_id, pos_order_id) = 1))
);
CREATE SEQUENCE matomo_request_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE matomo_request_id_seq OWNED BY matomo_request.id;
CREATE TABLE matomo_request_sale_order_rel (
    matomo_request_id integer NOT NULL,
    sale_order_id integer NOT NULL
);
CREATE TABLE matomo_retrack (
    id integer NOT NULL,
    order_count integer,
    queued_count integer,
    checked_count integer,
    create_uid integer,
    write_uid integer,
    res_model character varying NOT NULL,
    res_ids jsonb,
    is_asked boolean,
    create_date timestamp without time zone,
    write_date timestamp without time zone
);
CREATE SEQUENCE matomo_retrack_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE matomo_retrack_id_seq OWNED BY matomo_retrack.id;
CREATE TABLE matomo_site (
    id integer NOT NULL,
    idsite integer NOT NULL,
    company_id integer NOT NULL,
    currency_id integer NOT NULL,
    lang_id integer NOT NULL,
    order_timeout integer NOT NULL,
    cart_timeout integer NOT NULL,
    batch_size integer NOT NULL,
    raw_data_days integer NOT NULL,
    failure_count integer,
    create_uid integer,
    write_uid integer,
    read_failure_count integer,
    channel_dimension integer,
    till_dimension integer,
    salesperson_dimension integer,
    retention_days integer NOT NULL,
    name character varying NOT NULL,
    url character varying NOT NULL,
    timezone character varying NOT NULL,
    page_url character varying,
    state character varying NOT NULL,
    database_uuid character varying,
    token_auth character varying,
    consent_policy character varying NOT NULL,
    ip_mask character varying NOT NULL,
    date_start date NOT NULL,
    state_message text,
    active boolean,
    track_refunds boolean,
    can_read boolean,
    is_order_id_anonymised boolean,
    respect_dnt boolean,
    track_carts boolean,
    identify_customers boolean,
    last_success_date timestamp without time zone,
    next_attempt_date timestamp without time zone,
    create_date timestamp without time zone,
    write_date timestamp without time zone,
    next_read_date timestamp without time zone
);
CREATE SEQUENCE matomo_site_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE matomo_site_id_seq OWNED BY matomo_site.id;
ALTER TABLE ONLY matomo_reconciliation ALTER COLUMN id SET DEFAULT nextval('matomo_reconciliation_id_seq'::regclass);
ALTER TABLE ONLY matomo_request ALTER COLUMN id SET DEFAULT nextval('matomo_request_id_seq'::regclass);
ALTER TABLE ONLY matomo_retrack ALTER COLUMN id SET DEFAULT nextval('matomo_retrack_id_seq'::regclass);
ALTER TABLE ONLY matomo_site ALTER COLUMN id SET DEFAULT nextval('matomo_site_id_seq'::regclass);
INSERT INTO matomo_request VALUES (7, 1, 1, 7, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'cart', 'web', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (8, 1, 1, 8, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'cart', 'web', 'sent', NULL, NULL, NULL, NULL, '{"cdt": "2026-11-26 10:00:00", "cid": "0123456789abcdef", "ec_id": "X", "revenue": "115.00"}', NULL, NULL, NULL, NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (9, 1, 1, 9, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'cart', 'web', 'cancelled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (10, 1, 1, 1, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'refund', NULL, 'sent', NULL, NULL, NULL, 'sale.order,1', '{"e_v": "115.00"}', NULL, NULL, NULL, NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (6, 1, 1, 6, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'order', 'desk', 'excluded', NULL, NULL, NULL, NULL, NULL, 'x', NULL, NULL, NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (3, 1, 1, 3, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'order', 'desk', 'failed', NULL, NULL, 'refused', NULL, NULL, 'no', NULL, NULL, NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (1, 1, 1, 1, NULL, 1, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'order', 'desk', 'verified', 'A', 'k1', NULL, NULL, '{"cdt": "2026-11-26 10:00:00", "cid": "0123456789abcdef", "ec_id": "X", "revenue": "115.00"}', NULL, NULL, 'https://m/?a', NULL, NULL, false, NULL, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (2, 1, 1, 2, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, 2, NULL, 6, 'order', 'desk', 'sent', 'B', 'k2', NULL, NULL, '{"cdt": "2026-11-26 10:00:00", "cid": "0123456789abcdef", "ec_id": "X", "revenue": "115.00"}', NULL, NULL, NULL, NULL, NULL, false, true, false, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (4, 1, 1, 4, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, 6, 'order', 'desk', 'verified', NULL, NULL, NULL, NULL, '{"cid": "XYZBLANKED"}', NULL, NULL, NULL, NULL, NULL, false, NULL, true, false, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_request VALUES (5, 1, 1, 5, NULL, NULL, NULL, NULL, NULL, 1, 1, NULL, NULL, 1, NULL, 6, 'order', 'desk', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, false, true, '2026-11-26 10:01:10', NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
INSERT INTO matomo_site VALUES (1, 1, 1, 1, 1, 7, 2, 50, 180, NULL, 1, 1, NULL, NULL, NULL, NULL, 180, 'S', 'https://m.example.com/', 'UTC', NULL, 'unknown', '1c905794-e96c-11f1-aa5f-02fc00000001', '00000000000000000000000000000000', 'cookie_bar', '0', '2026-01-01', NULL, true, true, true, NULL, true, true, NULL, NULL, NULL, '2026-11-26 10:01:10.002275', '2026-11-26 10:01:10.002275', NULL);
SELECT pg_catalog.setval('matomo_reconciliation_id_seq', 1, false);
SELECT pg_catalog.setval('matomo_request_id_seq', 10, true);
SELECT pg_catalog.setval('matomo_retrack_id_seq', 1, false);
SELECT pg_catalog.setval('matomo_site_id_seq', 1, true);
ALTER TABLE ONLY matomo_reconciliation
    ADD CONSTRAINT matomo_reconciliation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY matomo_request
    ADD CONSTRAINT matomo_request_pkey PRIMARY KEY (id);
ALTER TABLE ONLY matomo_request_sale_order_rel
    ADD CONSTRAINT matomo_request_sale_order_rel_pkey PRIMARY KEY (matomo_request_id, sale_order_id);
ALTER TABLE ONLY matomo_retrack
    ADD CONSTRAINT matomo_retrack_pkey PRIMARY KEY (id);
ALTER TABLE ONLY matomo_site
    ADD CONSTRAINT matomo_site_pkey PRIMARY KEY (id);
CREATE INDEX matomo_reconciliation__company_id_index ON matomo_reconciliation USING btree (company_id);
CREATE UNIQUE INDEX matomo_reconciliation_site_day_unique ON matomo_reconciliation USING btree (site_id, day);
COMMENT ON INDEX matomo_reconciliation_site_day_unique IS 'UNIQUE INDEX (site_id, day)';
CREATE INDEX matomo_request__company_id_index ON matomo_request USING btree (company_id);
CREATE INDEX matomo_request__partner_id_index ON matomo_request USING btree (partner_id) WHERE (partner_id IS NOT NULL);
CREATE INDEX matomo_request__pos_order_id_index ON matomo_request USING btree (pos_order_id) WHERE (pos_order_id IS NOT NULL);
CREATE INDEX matomo_request__refund_move_id_index ON matomo_request USING btree (refund_move_id) WHERE (refund_move_id IS NOT NULL);
CREATE INDEX matomo_request__sale_order_id_index ON matomo_request USING btree (sale_order_id) WHERE (sale_order_id IS NOT NULL);
CREATE INDEX matomo_request__site_id_index ON matomo_request USING btree (site_id) WHERE (site_id IS NOT NULL);
CREATE INDEX matomo_request__state_index ON matomo_request USING btree (state);
CREATE INDEX matomo_request_carts_index ON matomo_request USING btree (site_id, order_date) WHERE ((kind)::text = 'cart'::text);
COMMENT ON INDEX matomo_request_carts_index IS 'INDEX (site_id, order_date) WHERE kind = ''cart''';
CREATE INDEX matomo_request_check_index ON matomo_request USING btree (site_id, next_check_date) WHERE (next_check_date IS NOT NULL);
COMMENT ON INDEX matomo_request_check_index IS 'INDEX (site_id, next_check_date) WHERE next_check_date IS NOT NULL';
CREATE INDEX matomo_request_details_index ON matomo_request USING btree (site_id, order_date) WHERE ((payload IS NOT NULL) AND (is_blanked IS NOT TRUE));
COMMENT ON INDEX matomo_request_details_index IS 'INDEX (site_id, order_date) WHERE payload IS NOT NULL AND is_blanked IS NOT TRUE';
CREATE INDEX matomo_request_due_index ON matomo_request USING btree (site_id, is_backfill, order_date, id) WHERE ((state)::text = 'pending'::text);
COMMENT ON INDEX matomo_request_due_index IS 'INDEX (site_id, is_backfill, order_date, id) WHERE state = ''pending''';
CREATE INDEX matomo_request_forgotten_index ON matomo_request USING btree (id) WHERE ((is_forgotten IS TRUE) AND (is_blanked IS NOT TRUE));
COMMENT ON INDEX matomo_request_forgotten_index IS 'INDEX (id) WHERE is_forgotten IS TRUE AND is_blanked IS NOT TRUE';
CREATE UNIQUE INDEX matomo_request_order_ref_unique ON matomo_request USING btree (order_ref_key) WHERE ((kind)::text = 'order'::text);
COMMENT ON INDEX matomo_request_order_ref_unique IS 'UNIQUE INDEX (order_ref_key) WHERE kind = ''order''';
CREATE UNIQUE INDEX matomo_request_pos_order_unique ON matomo_request USING btree (pos_order_id) WHERE ((kind)::text = 'order'::text);
COMMENT ON INDEX matomo_request_pos_order_unique IS 'UNIQUE INDEX (pos_order_id) WHERE kind = ''order''';
CREATE UNIQUE INDEX matomo_request_pos_refund_unique ON matomo_request USING btree (pos_order_id, refunded_id) WHERE ((kind)::text = 'refund'::text);
COMMENT ON INDEX matomo_request_pos_refund_unique IS 'UNIQUE INDEX (pos_order_id, refunded_id) WHERE kind = ''refund''';
CREATE INDEX matomo_request_refunded_index ON matomo_request USING btree (refunded_id) WHERE ((kind)::text = 'refund'::text);
COMMENT ON INDEX matomo_request_refunded_index IS 'INDEX (refunded_id) WHERE kind = ''refund''';
CREATE INDEX matomo_request_sale_order_rel_sale_order_id_matomo_request__idx ON matomo_request_sale_order_rel USING btree (sale_order_id, matomo_request_id);
CREATE UNIQUE INDEX matomo_request_sale_order_unique ON matomo_request USING btree (sale_order_id) WHERE ((kind)::text = 'order'::text);
COMMENT ON INDEX matomo_request_sale_order_unique IS 'UNIQUE INDEX (sale_order_id) WHERE kind = ''order''';
CREATE UNIQUE INDEX matomo_request_sale_refund_unique ON matomo_request USING btree (sale_order_id, COALESCE(refund_move_id, 0)) WHERE (((kind)::text = 'refund'::text) AND (sale_order_id IS NOT NULL));
COMMENT ON INDEX matomo_request_sale_refund_unique IS 'UNIQUE INDEX (sale_order_id, COALESCE(refund_move_id, 0)) WHERE kind = ''refund'' AND sale_order_id IS NOT NULL';
CREATE UNIQUE INDEX matomo_site_url_idsite_unique ON matomo_site USING btree (company_id, url, idsite) WHERE active;
COMMENT ON INDEX matomo_site_url_idsite_unique IS 'UNIQUE INDEX (company_id, url, idsite) WHERE active';
