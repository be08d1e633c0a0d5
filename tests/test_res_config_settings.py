from psycopg2.errors import UniqueViolation

from odoo.exceptions import ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import TOKEN, MatomoPosCommon


@tagged("post_install", "-at_install")
class TestSettings(MatomoPosCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env.user.group_ids += cls.env.ref("base.group_system")
        cls.website = cls.env["website"].create(
            {"name": "Shop", "company_id": cls.company.id}
        )
        cls.other_website = cls.env["website"].create(
            {"name": "Outlet", "company_id": cls.company.id}
        )
        cls.other_config = cls.config.copy({"name": "Café", "matomo_site_id": False})

    def open_settings(self, website=None, config=None):
        settings = self.env["res.config.settings"].create({})
        settings.website_id = website or self.website
        settings.pos_config_id = config or self.config
        return settings

    def save(self, website=None, config=None, **values):
        """Fill the form and save it, as the web client does."""
        settings = self.env["res.config.settings"].create(
            {
                "website_id": (website or self.website).id,
                "pos_config_id": (config or self.config).id,
                **values,
            }
        )
        settings.execute()
        return settings

    def test_creates_the_site_behind_the_website(self):
        self.save(
            matomo_url="https://stats.example.com",
            matomo_idsite=7,
            matomo_token_auth="secret-token",
        )
        site = self.website.matomo_site_id
        self.assertEqual(site.url, "https://stats.example.com")
        self.assertEqual(site.idsite, 7)
        self.assertEqual(site._get__token(), "secret-token")
        self.assertEqual(site.company_id, self.company)
        self.assertFalse(self.other_website.matomo_site_id)

    def test_token_is_written_and_never_shown(self):
        settings = self.save(
            matomo_url="https://stats.example.com",
            matomo_idsite=7,
            matomo_token_auth="secret-token",
        )
        self.assertFalse(settings.matomo_token_auth)
        self.assertFalse(settings.read(["matomo_token_auth"])[0]["matomo_token_auth"])
        shown = self.open_settings()
        self.assertFalse(shown.matomo_token_auth)
        self.assertTrue(shown.matomo_has_token)
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT * FROM res_config_settings s WHERE s::text LIKE '%%secret-token%%'"
        )
        self.assertFalse(self.env.cr.fetchall())

    def test_program_sets_a_single_value(self):
        """What it does not name stays, of the website and of the till."""
        self.save(
            matomo_url="https://stats.example.com",
            matomo_idsite=7,
            matomo_token_auth="secret-token",
            matomo_pos_site_source="own",
            matomo_pos_url="https://stats.example.com",
            matomo_pos_idsite=8,
            matomo_pos_token_auth="secret-token",
        )
        site, of_till = self.website.matomo_site_id, self.config.matomo_site_id
        self.save(matomo_token_auth="another-token")
        self.save(matomo_pos_token_auth="another-token")
        self.assertEqual(self.website.matomo_site_id, site)
        self.assertEqual(self.config.matomo_site_id, of_till)
        self.assertEqual(site._get__token(), "another-token")
        self.assertEqual(of_till._get__token(), "another-token")
        self.save(matomo_idsite=9)
        self.assertEqual(
            (self.website.matomo_site_id.url, self.website.matomo_site_id.idsite),
            ("https://stats.example.com", 9),
        )
        self.save(matomo_pos_for_all=True)
        self.assertEqual(self.config.matomo_site_id, of_till)
        self.assertEqual(self.other_config.matomo_site_id, of_till)

    def test_empty_token_keeps_it(self):
        self.save(
            matomo_url="https://stats.example.com",
            matomo_idsite=7,
            matomo_token_auth="secret-token",
        )
        self.save(
            matomo_url="https://moved.example.com",
            matomo_idsite=7,
            matomo_token_auth="",
        )
        site = self.website.matomo_site_id
        self.assertEqual(site.url, "https://moved.example.com")
        self.assertEqual(site._get__token(), "secret-token")
        self.save(matomo_url="https://moved.example.com", matomo_idsite=7)
        self.assertEqual(site._get__token(), "secret-token")

    def test_other_settings_leave_it_alone(self):
        self.save(
            matomo_url="https://stats.example.com",
            matomo_idsite=7,
            matomo_token_auth="secret-token",
        )
        site = self.website.matomo_site_id
        before = site.write_date
        self.save(website_name="Shop 2")
        self.assertEqual(self.website.matomo_site_id, site)
        self.assertEqual((site.idsite, site._get__token()), (7, "secret-token"))
        self.assertEqual(site.write_date, before)

    def test_each_website_and_till_shows_its_own(self):
        self.save(
            matomo_url="https://a.example.com",
            matomo_idsite=1,
            matomo_token_auth="a",
            matomo_pos_url="https://b.example.com",
            matomo_pos_idsite=2,
            matomo_pos_token_auth="b",
        )
        self.save(
            website=self.other_website,
            config=self.other_config,
            matomo_url="https://c.example.com",
            matomo_idsite=3,
            matomo_token_auth="c",
            matomo_pos_url="https://d.example.com",
            matomo_pos_idsite=4,
            matomo_pos_token_auth="d",
        )
        shown = self.open_settings()
        self.assertEqual(shown.matomo_url, "https://a.example.com")
        self.assertEqual(shown.matomo_pos_idsite, "2")
        shown = self.open_settings(self.other_website, self.other_config)
        self.assertEqual(shown.matomo_idsite, "3")
        self.assertEqual(shown.matomo_pos_url, "https://d.example.com")
        self.assertEqual(self.config.matomo_site_id._get__token(), "b")
        self.assertEqual(self.other_config.matomo_site_id._get__token(), "d")

    def test_another_site_id_is_another_site_of_the_same_matomo(self):
        self.save(
            matomo_url="https://a.example.com", matomo_idsite=1, matomo_token_auth="a"
        )
        first = self.website.matomo_site_id
        self.other_website.matomo_site_id = first
        self.save(matomo_url="https://a.example.com", matomo_idsite=2)
        second = self.website.matomo_site_id
        self.assertNotEqual(first, second)
        self.assertEqual((first.idsite, second._get__token()), (1, "a"))

    def test_one_matomo_site_in_two_spellings_is_one_site(self):
        """The shop was entered as https://m/ and the till as https://m.

        That made two sites, each of which missed the other's orders in the comparison.
        """
        self.save(
            matomo_url="https://a.example.com", matomo_idsite=1, matomo_token_auth="a"
        )
        site = self.website.matomo_site_id
        for url in (
            "https://a.example.com/",
            "https://a.example.com/matomo.php",
            "https://A.Example.com:443/index.php",
        ):
            self.config.matomo_site_id = self.site
            self.save(
                matomo_pos_url=url, matomo_pos_idsite=1, matomo_pos_site_source="own"
            )
            self.assertEqual(self.config.matomo_site_id, site)
        self.assertEqual(site.url, "https://a.example.com")
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaisesRegex(UniqueViolation, "url_idsite_unique"),
            self.env.cr.savepoint(),
        ):
            site.copy({"url": "https://a.example.com/"}).flush_recordset()

    def test_another_spelling_keeps_the_token(self):
        manager = self.make_manager()
        self.site.with_user(manager).url = "https://Matomo.example.com:443/matomo.php"
        self.assertEqual(self.site.sudo()._get__token(), TOKEN)

    def test_till_follows_the_website_until_it_has_its_own(self):
        self.save(
            matomo_url="https://a.example.com", matomo_idsite=1, matomo_token_auth="a"
        )
        self.save(matomo_pos_site_source="website")
        website_site = self.website.matomo_site_id
        self.assertEqual(self.config.matomo_site_id, website_site)
        shown = self.open_settings()
        self.assertEqual(shown.matomo_pos_site_source, "website")
        self.assertEqual(shown.matomo_pos_website_site_id, website_site)
        # Saved again, whole, as the web client does.
        self.save(
            matomo_pos_site_source="website",
            matomo_pos_url=shown.matomo_pos_url,
            matomo_pos_idsite=shown.matomo_pos_idsite,
        )
        self.assertEqual(self.config.matomo_site_id, website_site)
        # The website gets another site: the till's sales follow.
        self.other_website.matomo_site_id = website_site
        self.save(matomo_url="https://a.example.com", matomo_idsite=2)
        self.assertNotEqual(self.website.matomo_site_id, website_site)
        self.assertEqual(self.config.matomo_site_id, self.website.matomo_site_id)
        self.assertEqual(self.other_config.matomo_site_id, self.env["matomo.site"])
        # Its own: the website's stays as it is.
        self.save(matomo_pos_url="https://b.example.com", matomo_pos_idsite=2)
        self.assertEqual(self.config.matomo_site_id.url, "https://b.example.com")
        self.assertEqual(self.website.matomo_site_id.url, "https://a.example.com")
        self.save(matomo_url="https://a.example.com", matomo_idsite=3)
        self.assertEqual(self.config.matomo_site_id.url, "https://b.example.com")
        self.assertEqual(self.open_settings().matomo_pos_site_source, "own")
        # None, whatever stands in the hidden fields.
        self.save(
            matomo_pos_site_source="none",
            matomo_pos_url="https://b.example.com",
            matomo_pos_idsite=2,
        )
        self.assertFalse(self.config.matomo_site_id)
        self.assertEqual(self.open_settings().matomo_pos_site_source, "none")

    def test_other_programs_set_and_read_the_tills_site(self):
        self.assertEqual(self.open_settings().matomo_pos_site_source, "own")
        self.website.matomo_site_id = self.site.copy({"idsite": 5})
        self.config.matomo_follows_website = True
        self.assertEqual(self.config.matomo_site_id.idsite, 5)
        self.config.matomo_site_id = self.site
        self.assertFalse(self.config.matomo_follows_website)
        self.website.matomo_site_id = False
        self.assertEqual(self.config.matomo_site_id, self.site)
        self.config.matomo_site_id = False
        self.assertEqual(self.open_settings().matomo_pos_site_source, "none")

    def test_empty_address_stops_tracking(self):
        self.save(
            matomo_url="https://a.example.com", matomo_idsite=1, matomo_token_auth="a"
        )
        self.save(matomo_url="", matomo_idsite=0)
        self.assertFalse(self.website.matomo_site_id)

    def test_half_an_address_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "Enter both the address"):
            self.save(matomo_url="https://a.example.com", matomo_idsite=0)

    def test_insecure_addresses_are_refused(self):
        for url, sentence in (
            ("http://matomo.example.com/", "must begin with https://"),
            ("ftp://matomo.example.com/", "is not a web address"),
            ("matomo", "is not a web address"),
            ("https://", "is not a web address"),
            ("https://user:pass@matomo.example.com/", "without user name"),
        ):
            with (
                self.subTest(url=url),
                self.assertRaisesRegex(ValidationError, sentence),
            ):
                self.save(matomo_url=url, matomo_idsite=1)
        for url in ("http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/m/"):
            self.save(matomo_url=url, matomo_idsite=1)
            self.assertEqual(self.website.matomo_site_id.url, url)

    def test_form_loads_and_saves(self):
        self.website.matomo_site_id = self.site
        with mute_logger("odoo.tests.form.onchange"):
            settings = Form(self.env["res.config.settings"])
        settings.website_id = self.website
        self.assertEqual(settings.matomo_url, self.site.url)
        self.assertFalse(settings.matomo_token_auth)
        settings.save().execute()
        self.assertEqual(self.site._get__token(), TOKEN)

    def test_manager_without_the_token_cannot_have_it_sent_elsewhere(self):
        manager = self.make_manager()
        self.site.with_user(manager).url = "https://evil.example.com/"
        self.assertFalse(self.site.sudo()._get__token())

    def get_tracked(self, site):
        """Return the fields whose changes the chatter of the site shows."""
        self.end_transaction()
        self.env.invalidate_all()
        values = site.sudo().message_ids.tracking_value_ids
        return sorted(values.field_id.mapped("name"))

    def test_changes_of_privacy_show_in_the_chatter(self):
        """Whoever loosens the protection of shoppers leaves a trace."""
        self.get_tracked(self.site)
        other = self.env["res.company"].sudo().create({"name": "Other"})
        self.config.sudo().matomo_site_id = False
        self.company.sudo().matomo_site_id = False
        changes = {
            "consent_policy": "elsewhere",
            "set_visitor_cookie": True,
            "exclude_refused": True,
            "respect_dnt": False,
            "ip_mask": "1",
            "retention_days": 10,
            "identify_customers": True,
            "send_user_id": True,
            "tag_user_id": "login",
            "tag_parameters": "color",
            "channel_dimension": 1,
            "till_dimension": 2,
            "salesperson_dimension": 3,
            "company_id": other.id,
        }
        self.site.sudo().with_context(mail_notrack=False).write(changes)
        self.assertEqual(self.get_tracked(self.site), sorted(changes))

    def test_each_consent_policy_explains_itself(self):
        """Before it is saved: what it means, and what a lawyer will ask."""
        self.website.matomo_site_id = self.site
        policies = dict(self.site._fields["consent_policy"].selection)
        meanings = set()
        for policy in policies:
            with Form(self.open_settings()) as form, Form(self.site) as site_form:
                form.matomo_consent_policy = site_form.consent_policy = policy
                meaning = form.matomo_consent_policy_meaning
                self.assertEqual(site_form.consent_policy_meaning, meaning)
            self.assertIn("Your lawyer will ask", meaning)
            self.assertEqual(meaning.count(". "), 1, meaning)
            meanings.add(meaning)
        self.assertEqual(len(meanings), len(policies))

    def test_switches_of_a_policy(self):
        self.website.matomo_site_id = self.site
        with Form(self.open_settings()) as form:
            form.matomo_consent_policy = "elsewhere"
            form.matomo_set_visitor_cookie = True
            form.matomo_exclude_refused = True
            form.save().execute()
        self.assertEqual(self.site.consent_policy, "elsewhere")
        self.assertTrue(self.site.set_visitor_cookie)
        self.assertTrue(self.site.exclude_refused)

    def test_changes_of_privacy_in_the_settings_show_in_the_chatter(self):
        self.website.matomo_site_id = self.site
        self.get_tracked(self.site)
        # Odoo's tests switch it off.
        self.env = self.env(context={**self.env.context, "mail_notrack": False})
        self.save(matomo_consent_policy="never", matomo_respect_dnt=False)
        self.assertEqual(self.get_tracked(self.site), ["consent_policy", "respect_dnt"])
