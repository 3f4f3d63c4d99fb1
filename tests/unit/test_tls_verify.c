/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_play.h"
#include "user/base/check.h"

/* ---- the client looks at the server ---- */

/* The server shows this one. */
static void show(const struct pki *pki, const char *host)
{
	struct tls_identity *kept = play.identity;

	play.identity = tls_play_identity(&play, pki);
	tls_play_meet(&play, host, NULL);
	tls_identity_free(play.identity);
	play.identity = kept;
}

static void assert_client_refuses(const char *fault)
{
	tls_assert_failed(play.client_end.session, TLS_FAIL_VERIFY, fault);
	assert_int_equal(play.server_end.handshake == 0 ? play.server_end.read : play.server_end.handshake,
			 -EPROTO);
	assert_int_equal(tls_session_failure(play.server_end.session), TLS_FAIL_ALERT);
}

struct name_row {
	const char *name;
	const char *host;
	bool is_valid;
};

static struct name_row name_rows[] = {
	{ "the_name_itself", "a.example", true },
	{ "capital_letters", "A.Example", true },
	{ "the_dot_of_the_root", "a.example.", true },
	{ "a_label_for_the_wildcard", "x.b.example", true },
	{ "an_address", "127.0.0.1", true },
	{ "an_address_of_v6", "::1", true },
	{ "an_address_of_v6_in_brackets", "[::1]", true },
	{ "another_way_to_write_an_address", "0:0:0:0:0:0:0:1", true },
	{ "another_name", "c.example", false },
	{ "a_name_below", "x.a.example", false },
	{ "a_name_above", "example", false },
	{ "two_labels_for_the_wildcard", "x.y.b.example", false },
	{ "no_label_for_the_wildcard", "b.example", false },
	{ "the_wildcard_itself_as_a_suffix", ".b.example", false },
	{ "another_address", "127.0.0.2", false },
	{ "the_common_name", "server", false },
	{ "the_common_name_with_a_dot", "server.", false },
	{ "a_dot", ".", false },
	{ "no_name", "", false },
};

static void the_host_is_one_of_the_certificate(void **state)
{
	const struct name_row *row = *state;

	tls_play_init(&play);
	tls_play_meet(&play, row->host, NULL);
	if (row->is_valid)
		tls_assert_talk(&play);
	else
		assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_VERIFY);
	tls_play_done(&play);
}
TEST_ROWS(the_host_is_one_of_the_certificate, name_rows);

TLS_PLAY_TEST(a_wrong_name_is_told_with_what_was_presented_and_wanted)
{
	tls_play_meet(&play, "c.example", NULL);
	assert_client_refuses("the certificate of \"CN=server\" is for a.example, *.b.example, 127.0.0.1, "
			      "::1, "
			      "spiffe://a/b, not for c.example");
	tls_play_meet(&play, "10.0.0.1", NULL);
	assert_client_refuses("the certificate of \"CN=server\" is for a.example, *.b.example, 127.0.0.1, "
			      "::1, "
			      "spiffe://a/b, not for 10.0.0.1");
	tls_play_meet(&play, "", NULL);
	assert_client_refuses("the certificate of \"CN=server\" is for a.example, *.b.example, 127.0.0.1, "
			      "::1, "
			      "spiffe://a/b, not for (no name)");
}

TLS_PLAY_TEST(a_certificate_without_names_is_for_nobody)
{
	struct pki bare = PKI(.name = "a.example", .issuer = &play.authority);

	show(&bare, "a.example");
	assert_client_refuses("the certificate of \"CN=a.example\" is for no name, not for a.example");
	pki_free(&bare);
}

TLS_PLAY_TEST(a_part_of_a_label_is_no_wildcard)
{
	struct pki part = PKI(.name = "part", .issuer = &play.authority, .san = "DNS:a*.b.example,DNS:*");

	show(&part, "ab.b.example");
	assert_client_refuses("the certificate of \"CN=part\" is for a*.b.example, *, not for ab.b.example");
	pki_free(&part);
}

TLS_PLAY_TEST(the_hostname_of_the_settings_goes_before_the_host)
{
	play.client_settings.hostname = SPAN("x.b.example");
	tls_play_meet(&play, "10.0.0.1", NULL);
	tls_assert_talk(&play);
	play.client_settings.hostname = SPAN("c.example");
	tls_play_meet(&play, "a.example", NULL);
	assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_VERIFY);
}

static void assert_named(const char *const *names, bool is_valid)
{
	struct span list[4];

	play.client_settings.name_list = list;
	play.client_settings.name_count = 0;
	for (; *names; names++)
		list[play.client_settings.name_count++] = span_str(*names);
	/* The name for SNI is no name to be verified any longer. */
	tls_play_meet(&play, "c.example", NULL);
	if (is_valid)
		tls_assert_talk(&play);
	else
		assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_VERIFY);
}

TLS_PLAY_TEST(one_of_the_listed_names_is_enough)
{
	assert_named((const char *[]){ "a.example", NULL }, true);
	assert_named((const char *[]){ "x", "spiffe://a/b", NULL }, true);
	assert_named((const char *[]){ "x", "y", "127.0.0.1", NULL }, true);
	assert_named((const char *[]){ "x", "::1", NULL }, true);
	assert_named((const char *[]){ "c.example", NULL }, false);
	assert_named((const char *[]){ "spiffe://a/B", NULL }, false);
	assert_named((const char *[]){ "spiffe://a/", "spiffe://a/b/c", "a/b", NULL }, false);
	assert_named((const char *[]){ "", "127.0.0.2", NULL }, false);
	assert_string_equal(tls_session_fault(play.client_end.session), "the certificate of \"CN=server\" is "
									"for a.example, *.b.example, "
									"127.0.0.1, ::1, "
									"spiffe://a/b, not for (no name), "
									"127.0.0.2");
}

TLS_PLAY_TEST(an_expired_certificate_is_refused_with_its_date)
{
	struct pki old = PKI(.name = "old", .issuer = &play.authority, .san = "DNS:a.example",
			     .from_s = -PKI_DAY_S, .until_s = -3600);
	struct pki early =
		PKI(.name = "early", .issuer = &play.authority, .san = "DNS:a.example", .from_s = 3600);
	char want[128], when[32];
	struct tm tm;

	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(old.x509), &tm), 1);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(want, sizeof(want), "certificate \"CN=old\" expired on %s", when);
	show(&old, "a.example");
	assert_client_refuses(want);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(early.x509), &tm), 1);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(want, sizeof(want), "certificate \"CN=early\" is not valid before %s", when);
	show(&early, "a.example");
	assert_client_refuses(want);
	pki_free(&old);
	pki_free(&early);
}

TLS_PLAY_TEST(an_unknown_authority_is_refused_with_its_name)
{
	struct pki other = PKI(.name = "other", .is_authority = true);
	struct pki stranger = PKI(.name = "stranger", .issuer = &other, .san = "DNS:a.example");
	struct pki alone = PKI(.name = "alone", .san = "DNS:a.example");
	struct pki with_root = stranger;

	show(&stranger, "a.example");
	assert_client_refuses("no trusted authority issued \"CN=stranger\" (issuer \"CN=other\")");
	show(&alone, "a.example");
	assert_client_refuses("self-signed certificate \"CN=alone\"");
	with_root.cert_pem = pki_join(stranger.cert_pem, other.cert_pem, SPAN(""));
	show(&with_root, "a.example");
	assert_client_refuses("the authority \"CN=other\" at the end of the chain is not trusted");
	pki_free(&other);
	pki_free(&stranger);
	pki_free(&alone);
}

TLS_PLAY_TEST(an_authority_with_the_same_name_and_another_key_is_refused)
{
	struct pki twin = PKI(.name = "authority", .is_authority = true);
	struct pki forged = PKI(.name = "forged", .issuer = &twin, .san = "DNS:a.example");

	show(&forged, "a.example");
	assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_VERIFY);
	assert_int_not_equal(play.client_end.handshake, 0);
	pki_free(&twin);
	pki_free(&forged);
}

TLS_PLAY_TEST(who_is_no_authority_issues_nothing)
{
	struct pki forged = PKI(.name = "forged", .issuer = &play.server, .san = "DNS:a.example");
	struct tls_trust *trust = tls_play_trust(&play, &play.server);

	/* Not even when it is believed itself. */
	play.client_settings.trust = trust;
	show(&forged, "a.example");
	assert_int_not_equal(play.client_end.handshake, 0);
	assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_VERIFY);
	tls_trust_free(trust);
	pki_free(&forged);
}

TLS_PLAY_TEST(an_authority_in_the_middle_is_shown_by_the_server_or_believed_itself)
{
	struct pki middle = PKI(.name = "middle", .issuer = &play.authority, .is_authority = true);
	struct pki end = PKI(.name = "end", .issuer = &middle, .san = "DNS:a.example");
	struct pki chain = end;
	struct tls_trust *trust;

	chain.cert_pem = pki_join(end.cert_pem, middle.cert_pem, play.authority.cert_pem);
	show(&chain, "a.example");
	tls_assert_open(&play);
	show(&end, "a.example");
	assert_client_refuses("no trusted authority issued \"CN=end\" (issuer \"CN=middle\")");
	trust = tls_play_trust(&play, &middle);
	play.client_settings.trust = trust;
	show(&end, "a.example");
	tls_assert_open(&play);
	tls_trust_free(trust);
	pki_free(&middle);
	pki_free(&end);
}

TLS_PLAY_TEST(a_chain_is_bounded)
{
	enum { LONG = 11 };
	struct pki list[LONG];
	struct pki end;
	struct span chain = SPAN("");

	for (int i = 0; i < LONG; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		list[i] = PKI(.name = name, .issuer = i ? &list[i - 1] : &play.authority,
			      .is_authority = true, .san = i == 5 || i == LONG - 1 ? "DNS:a.example" : NULL);
		chain = pki_copy(pki_join(list[i].cert_pem, chain, SPAN("")), chain);
		if (i != 5 && i != LONG - 1)
			continue;
		end = list[i];
		end.cert_pem = chain;
		show(&end, "a.example");
		if (i == 5)
			tls_assert_open(&play);
		else
			assert_client_refuses("certificate \"CN=1\": certificate chain too long");
	}
	for (int i = 0; i < LONG; i++)
		pki_free(&list[i]);
	free((char *)chain.data);
}

TLS_PLAY_TEST(a_certificate_for_clients_is_none_for_servers)
{
	struct pki client =
		PKI(.name = "c", .issuer = &play.authority, .san = "DNS:a.example", .usage = "clientAuth");

	show(&client, "a.example");
	assert_client_refuses("certificate \"CN=c\" is not for TLS servers (extended key usage)");
	pki_free(&client);
}

TLS_PLAY_TEST(insecure_host_takes_any_name_of_a_known_authority)
{
	struct pki alone = PKI(.name = "alone", .san = "DNS:c.example");
	bool is_verified;
	struct tls_certificate certificate;

	play.client_settings.verify = TLS_VERIFY_CHAIN;
	tls_play_meet(&play, "c.example", NULL);
	tls_assert_talk(&play);
	assert_int_equal(tls_peer(play.client_end.session, &play.arena, &certificate, &is_verified), 0);
	assert_true(is_verified);
	show(&alone, "c.example");
	assert_client_refuses("self-signed certificate \"CN=alone\"");
	pki_free(&alone);
}

TLS_PLAY_TEST(insecure_takes_everything_and_says_that_it_is_not_verified)
{
	struct pki old = PKI(.name = "old", .from_s = -PKI_DAY_S, .until_s = -3600);
	struct tls_certificate certificate;
	bool is_verified = true;

	play.client_settings.verify = TLS_VERIFY_NONE;
	show(&old, "c.example");
	tls_assert_open(&play);
	assert_int_equal(tls_peer(play.client_end.session, &play.arena, &certificate, &is_verified), 0);
	assert_false(is_verified);
	assert_true(span_eq(certificate.subject, SPAN("CN=old")));
	pki_free(&old);
}

TLS_PLAY_TEST(bytes_of_strangers_are_escaped_in_a_fault)
{
	struct pki odd =
		PKI(.name = "x\ny\"\xc3\xa9", .issuer = &play.authority, .san = "DNS:a\x01\\b.example");

	show(&odd, "a.example");
	assert_client_refuses("the certificate of \"CN=x\\0Ay\\\"\\C3\\A9\" is for a\\x01\\\\b.example, not "
			      "for "
			      "a.example");
	pki_free(&odd);
}

TLS_PLAY_TEST(a_long_list_of_names_is_cut)
{
	char names[4096] = "";
	struct pki many;
	size_t len = 0;

	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%sDNS:name%03d.example",
					i ? "," : "", i);
	many = PKI(.name = "many", .issuer = &play.authority, .san = names);
	show(&many, "name099.example");
	tls_assert_open(&play);
	show(&many, "name100.example");
	assert_non_null(strstr(tls_session_fault(play.client_end.session), "name008.example, ..., not for "
									   "name100"));
	pki_free(&many);
}

/* ---- the server looks at the client ---- */

static struct pki client;
static struct tls_identity *client_identity;

static void ask(enum tls_client_auth auth, struct pki_spec spec)
{
	client = pki_new(spec);
	client_identity = tls_play_identity(&play, &client);
	play.client_settings.identity = client_identity;
	play.server_settings.client_auth = auth;
	play.server_settings.client_trust = play.trust;
	tls_play_meet(&play, "a.example", NULL);
}

static void ask_done(void)
{
	tls_identity_free(client_identity);
	pki_free(&client);
	play.client_settings.identity = NULL;
}

static void assert_server_refuses(const char *fault, const char *alert)
{
	tls_assert_failed(play.server_end.session, TLS_FAIL_VERIFY, fault);
	tls_assert_failed(play.client_end.session, TLS_FAIL_ALERT, alert);
}

static void assert_peer(bool is_verified, const char *subject)
{
	struct tls_certificate certificate;
	bool is = !is_verified;

	tls_assert_talk(&play);
	assert_int_equal(tls_peer(play.server_end.session, &play.arena, &certificate, &is), 0);
	assert_int_equal(is, is_verified);
	assert_true(span_eq(certificate.subject, span_str(subject)));
}

#define GOOD_CLIENT ((struct pki_spec){ .name = "client", .issuer = &play.authority, .usage = "clientAuth" })

TLS_PLAY_TEST(a_client_that_is_not_asked_shows_nothing)
{
	struct tls_certificate certificate;

	ask(TLS_CLIENT_NOT_ASKED, GOOD_CLIENT);
	tls_assert_talk(&play);
	assert_int_equal(tls_peer(play.server_end.session, &play.arena, &certificate, NULL), -ENOENT);
	ask_done();
}

TLS_PLAY_TEST(a_client_with_a_good_certificate_is_served)
{
	for (int version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3; version++) {
		for (int auth = TLS_CLIENT_OPTIONAL; auth <= TLS_CLIENT_REQUIRED; auth++) {
			play.client_settings.params.max_version = version;
			ask(auth, GOOD_CLIENT);
			assert_peer(true, "CN=client");
			ask_done();
		}
	}
}

TLS_PLAY_TEST(a_client_without_certificate_is_refused_where_one_is_required)
{
	struct tls_certificate certificate;

	play.server_settings.client_trust = play.trust;
	play.server_settings.client_auth = TLS_CLIENT_REQUIRED;
	tls_play_meet(&play, "a.example", NULL);
	assert_server_refuses("the client showed no certificate", "the peer refused: certificate required "
								  "(alert 116)");
	play.client_settings.params.max_version = TLS_VERSION_1_2;
	tls_play_meet(&play, "a.example", NULL);
	assert_server_refuses("the client showed no certificate", "the peer refused: handshake failure "
								  "(alert 40)");
	play.server_settings.client_auth = TLS_CLIENT_OPTIONAL;
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
	assert_int_equal(tls_peer(play.server_end.session, &play.arena, &certificate, NULL), -ENOENT);
	play.server_settings.client_auth = TLS_CLIENT_UNVERIFIED;
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
}

static void assert_bad_client(struct pki_spec spec, const char *fault, const char *alert)
{
	for (int auth = TLS_CLIENT_OPTIONAL; auth <= TLS_CLIENT_REQUIRED; auth++) {
		ask(auth, spec);
		if (auth == TLS_CLIENT_UNVERIFIED) {
			char subject[64];

			snprintf(subject, sizeof(subject), "CN=%s", spec.name);
			assert_peer(false, subject);
		} else {
			assert_server_refuses(fault, alert);
		}
		ask_done();
	}
}

TLS_PLAY_TEST(a_client_whose_certificate_is_bad_is_refused_even_where_it_is_optional)
{
	struct pki other = PKI(.name = "other", .is_authority = true);
	struct pki_spec stranger = { .name = "stranger", .issuer = &other };
	struct pki_spec alone = { .name = "alone" };
	struct pki_spec server = { .name = "s", .issuer = &play.authority, .usage = "serverAuth" };

	assert_bad_client(stranger, "no trusted authority issued \"CN=stranger\" (issuer \"CN=other\")",
			  "the peer refused: unknown CA (alert 48)");
	assert_bad_client(alone, "self-signed certificate \"CN=alone\"",
			  "the peer refused: unknown CA (alert 48)");
	assert_bad_client(server, "certificate \"CN=s\" is not for TLS clients (extended key usage)",
			  "the peer refused: unsupported certificate (alert 43)");
	pki_free(&other);
}

TLS_PLAY_TEST(an_expired_client_is_refused)
{
	struct pki_spec old = {
		.name = "old", .issuer = &play.authority, .from_s = -PKI_DAY_S, .until_s = -3600
	};

	ask(TLS_CLIENT_REQUIRED, old);
	assert_non_null(strstr(tls_session_fault(play.server_end.session), "certificate \"CN=old\" expired "
									   "on 20"));
	assert_string_equal(tls_session_fault(play.client_end.session), "the peer refused: certificate "
									"expired (alert 45)");
	ask_done();
}

TLS_PLAY_TEST(without_authorities_nobody_is_verified)
{
	ask(TLS_CLIENT_UNVERIFIED, GOOD_CLIENT);
	play.server_settings.client_trust = NULL;
	tls_play_meet(&play, "a.example", NULL);
	assert_peer(false, "CN=client");
	ask_done();
}
