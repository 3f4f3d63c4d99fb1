/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_play.h"
#include "user/base/check.h"

/* ---- keys ---- */

TEST(workers_with_one_secret_have_the_same_keys_in_every_period)
{
	struct ticket_keys a, b;

	assert_int_equal(ticket_keys_init(&a, tls_play_secret, 0), 0);
	for (uint64_t now = 0; now < 10 * TICKET_PERIOD_S; now += TICKET_PERIOD_S / 3) {
		assert_int_equal(ticket_keys_advance(&a, now), 0);
		/* One that begins later. */
		assert_int_equal(ticket_keys_init(&b, tls_play_secret, now), 0);
		assert_memory_equal(&a.current, &b.current, sizeof(a.current));
		assert_memory_equal(&a.previous, &b.previous, sizeof(a.previous));
		assert_int_equal(a.period, now / TICKET_PERIOD_S);
	}
	ticket_keys_wipe(&a);
	ticket_keys_wipe(&b);
}

TEST(keys_of_another_secret_or_period_differ)
{
	uint8_t secret[TICKET_SECRET_BYTES] = { 9 };
	struct ticket_keys a, b;

	assert_int_equal(ticket_keys_init(&a, tls_play_secret, TICKET_PERIOD_S), 0);
	assert_int_equal(ticket_keys_init(&b, secret, TICKET_PERIOD_S), 0);
	assert_memory_not_equal(a.current.name, b.current.name, TICKET_NAME_BYTES);
	assert_memory_not_equal(a.current.cipher_key, b.current.cipher_key, TICKET_KEY_BYTES);
	assert_memory_not_equal(a.current.name, a.previous.name, TICKET_NAME_BYTES);
	assert_memory_not_equal(a.current.cipher_key, a.previous.cipher_key, TICKET_KEY_BYTES);
	assert_memory_not_equal(a.current.mac_key, a.previous.mac_key, TICKET_KEY_BYTES);
	assert_memory_not_equal(a.current.mac_key, a.current.cipher_key, TICKET_KEY_BYTES);
}

TEST(a_key_is_found_in_its_period_and_the_next)
{
	struct ticket_keys keys;
	struct ticket_key first;
	bool is_old;

	assert_int_equal(ticket_keys_init(&keys, tls_play_secret, 0), 0);
	first = keys.current;
	assert_ptr_equal(ticket_keys_find(&keys, first.name, &is_old), &keys.current);
	assert_false(is_old);
	assert_int_equal(ticket_keys_advance(&keys, TICKET_PERIOD_S - 1), 0);
	assert_ptr_equal(ticket_keys_find(&keys, first.name, &is_old), &keys.current);
	assert_int_equal(ticket_keys_advance(&keys, TICKET_PERIOD_S), 0);
	assert_ptr_equal(ticket_keys_find(&keys, first.name, &is_old), &keys.previous);
	assert_true(is_old);
	assert_int_equal(ticket_keys_advance(&keys, 2 * TICKET_PERIOD_S), 0);
	assert_null(ticket_keys_find(&keys, first.name, &is_old));
	/* A clock that goes back changes nothing. */
	assert_int_equal(ticket_keys_advance(&keys, 0), 0);
	assert_null(ticket_keys_find(&keys, first.name, &is_old));
	assert_int_equal(ticket_keys_advance(&keys, 100 * TICKET_PERIOD_S), 0);
	assert_null(ticket_keys_find(&keys, first.name, &is_old));
	assert_int_equal(ticket_keys_advance(&keys, UINT64_MAX), -ERANGE);
}

TEST(secrets_of_earlier_periods_are_not_in_memory)
{
	struct ticket_keys keys, old;

	assert_int_equal(ticket_keys_init(&keys, tls_play_secret, 0), 0);
	assert_null(memmem(&keys, sizeof(keys), tls_play_secret, TICKET_SECRET_BYTES));
	old = keys;
	assert_int_equal(ticket_keys_advance(&keys, 2 * TICKET_PERIOD_S), 0);
	assert_null(memmem(&keys, sizeof(keys), old.secret, TICKET_SECRET_BYTES));
	assert_null(memmem(&keys, sizeof(keys), old.current.cipher_key, TICKET_KEY_BYTES));
	assert_null(memmem(&keys, sizeof(keys), old.current.name, TICKET_NAME_BYTES));
	ticket_keys_wipe(&keys);
	for (size_t i = 0; i < sizeof(keys); i++)
		assert_int_equal(((const uint8_t *)&keys)[i], 0);
}

TEST(a_worker_keeps_no_copy_of_the_secret_once_it_has_started)
{
	tls_play_init(&play);
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_open(&play);
	assert_null(memmem(&play.worker, sizeof(play.worker), tls_play_secret, TICKET_SECRET_BYTES));
	tls_play_done(&play);
}

TEST(a_worker_that_nobody_comes_to_forgets_as_well)
{
	struct ticket_key old;

	tls_play_init(&play);
	tls_worker_advance(&play.other);
	assert_false(play.other.is_started);
	play.now_s = TICKET_PERIOD_S;
	tls_worker_advance(&play.other);
	assert_null(memmem(&play.other, sizeof(play.other), tls_play_secret, TICKET_SECRET_BYTES));
	old = play.other.tickets.current;
	play.now_s = 3 * TICKET_PERIOD_S;
	tls_worker_advance(&play.other);
	assert_null(memmem(&play.other, sizeof(play.other), old.cipher_key, TICKET_KEY_BYTES));
	tls_play_done(&play);
}

/* ---- sessions that go on ---- */

/* Takes the ticket: what comes next is another. */
static struct ssl_session_st *ticket_take(void)
{
	struct ssl_session_st *ticket = play.ticket;

	if (!ticket)
		fail_msg("no ticket");
	play.ticket = NULL;
	return ticket;
}

static void assert_resumed(bool is_resumed)
{
	tls_assert_talk(&play);
	assert_int_equal(tls_is_resumed(play.server_end.session), is_resumed);
	assert_int_equal(tls_is_resumed(play.client_end.session), is_resumed);
}

/* A session from a handshake now, and another one after some change. */
static struct ssl_session_st *first_ticket(void)
{
	tls_play_meet(&play, "a.example", NULL);
	assert_resumed(false);
	return ticket_take();
}

static void assert_again(struct ssl_session_st *ticket, const char *host, bool is_resumed)
{
	tls_play_meet(&play, host, ticket);
	assert_resumed(is_resumed);
}

static const enum tls_version VERSIONS[] = { TLS_VERSION_1_2, TLS_VERSION_1_3 };

static void each_version(void (*run)(struct ssl_session_st *ticket))
{
	for (size_t i = 0; i < ARRAY_LEN(VERSIONS); i++) {
		struct ssl_session_st *ticket;

		tls_play_init(&play);
		play.client_settings.params.max_version = VERSIONS[i];
		ticket = first_ticket();
		run(ticket);
		tls_resume_free(ticket);
		tls_play_done(&play);
	}
}

static void plain(struct ssl_session_st *ticket)
{
	bool is_1_3 = play.client_settings.params.max_version == TLS_VERSION_1_3;

	play.ticket_count = 0;
	assert_again(ticket, "a.example", true);
	/* TLS 1.3: each ticket once, so there is a new one; TLS 1.2: the same goes on. */
	assert_int_equal(play.ticket_count, is_1_3 ? 1 : 0);
	assert_int_equal(tls_resume_is_single_use(ticket), is_1_3);
}

TEST(a_session_goes_on)
{
	each_version(plain);
}

static void by_another(struct ssl_session_st *ticket)
{
	tls_play_hang_up(&play);
	tls_play_accept(&play, &play.other);
	tls_play_connect(&play, "a.example", ticket);
	tls_play_run(&play);
	assert_resumed(true);
}

TEST(a_ticket_of_one_worker_is_taken_by_another)
{
	each_version(by_another);
}

static void after_reload(struct ssl_session_st *ticket)
{
	tls_worker_forget(&play.worker);
	tls_worker_forget(&play.other);
	assert_again(ticket, "a.example", true);
}

TEST(a_session_goes_on_when_contexts_were_forgotten)
{
	each_version(after_reload);
}

static void later(struct ssl_session_st *ticket)
{
	play.now_s = TICKET_PERIOD_S + 1;
	assert_again(ticket, "a.example", true);
	play.now_s = 2 * TICKET_PERIOD_S + 1;
	assert_again(ticket, "a.example", false);
}

TEST(a_ticket_is_taken_in_the_next_period_and_not_after_it)
{
	each_version(later);
}

static void another_scope(struct ssl_session_st *ticket)
{
	play.server_settings.scope = SPAN("another listener");
	assert_again(ticket, "a.example", false);
	play.server_settings.scope = SPAN("listener");
	assert_again(ticket, "a.example", true);
}

TEST(a_ticket_of_another_listener_is_not_taken)
{
	each_version(another_scope);
}

static void asks_now(struct ssl_session_st *ticket)
{
	struct pki pki = PKI(.name = "client", .issuer = &play.authority);
	struct tls_identity *identity = tls_play_identity(&play, &pki);
	struct tls_certificate certificate;

	play.server_settings.client_auth = TLS_CLIENT_REQUIRED;
	play.server_settings.client_trust = play.trust;
	tls_play_meet(&play, "a.example", ticket);
	assert_int_equal(tls_session_failure(play.server_end.session), TLS_FAIL_VERIFY);
	play.client_settings.identity = identity;
	tls_play_meet(&play, "a.example", ticket);
	assert_resumed(false);
	assert_int_equal(tls_peer(play.server_end.session, &play.arena, &certificate, NULL), 0);
	play.client_settings.identity = NULL;
	tls_identity_free(identity);
	pki_free(&pki);
}

TEST(a_ticket_given_without_client_certificate_is_worth_nothing_where_one_is_required)
{
	each_version(asks_now);
}

static void of_another(struct ssl_session_st *ticket)
{
	assert_again(ticket, "x.b.example", false);
	play.client_settings.verify = TLS_VERIFY_CHAIN;
	assert_again(ticket, "a.example", false);
}

TEST(a_client_does_not_take_a_session_of_another_host_or_of_other_settings)
{
	each_version(of_another);
}

/* The peer with a certificate that is valid until then; both sides take any certificate. */
static void with_certificate(long until_s, bool is_resumed)
{
	struct pki pki =
		PKI(.name = "client", .issuer = &play.authority, .from_s = -PKI_DAY_S, .until_s = until_s);
	struct tls_identity *identity = tls_play_identity(&play, &pki);
	struct tls_certificate certificate;
	struct ssl_session_st *ticket;
	bool is_verified = false;

	play.server_settings.client_auth = TLS_CLIENT_UNVERIFIED;
	play.server_settings.client_trust = play.trust;
	play.client_settings.identity = identity;
	ticket = first_ticket();
	assert_again(ticket, "a.example", is_resumed);
	assert_int_equal(tls_peer(play.server_end.session, &play.arena, &certificate, &is_verified), 0);
	assert_int_equal(is_verified, is_resumed);
	assert_true(span_eq(certificate.subject, SPAN("CN=client")));
	tls_resume_free(ticket);
	tls_identity_free(identity);
	pki_free(&pki);
}

TLS_PLAY_TEST(a_client_certificate_goes_on_with_its_session_while_it_is_valid)
{
	for (size_t i = 0; i < ARRAY_LEN(VERSIONS); i++) {
		play.client_settings.params.max_version = VERSIONS[i];
		with_certificate(PKI_DAY_S, true);
		with_certificate(-3600, false);
	}
}

TLS_PLAY_TEST(a_session_with_a_server_whose_certificate_has_expired_is_not_used_again)
{
	struct pki old = PKI(.name = "old", .from_s = -PKI_DAY_S, .until_s = -3600);
	struct tls_identity *kept = play.identity;
	struct ssl_session_st *ticket;

	play.client_settings.verify = TLS_VERIFY_NONE;
	play.identity = tls_play_identity(&play, &old);
	ticket = first_ticket();
	assert_again(ticket, "a.example", false);
	tls_resume_free(ticket);
	tls_identity_free(play.identity);
	play.identity = kept;
	pki_free(&old);
}

static void spoilt(struct ssl_session_st *ticket)
{
	uint8_t secret[TICKET_SECRET_BYTES] = { 7 };

	tls_worker_done(&play.worker);
	tls_worker_init(&play.worker, secret, tls_play_now, &play);
	assert_again(ticket, "a.example", false);
}

TEST(a_ticket_of_another_process_is_a_full_handshake)
{
	each_version(spoilt);
}
