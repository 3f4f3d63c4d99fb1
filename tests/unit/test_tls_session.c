/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"
#include "tests/unit/tls_play.h"
#include "user/base/check.h"

enum { LARGE_BYTES = 1024 * 1024 };

static void versions(enum tls_version version)
{
	play.client_settings.params.max_version = version;
	play.client_settings.params.min_version = version;
}

TLS_PLAY_TEST(both_versions_are_spoken_and_the_newer_one_is_chosen)
{
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
	assert_string_equal(tls_version_text(play.server_end.session), "TLSv1.3");
	assert_string_equal(tls_cipher_text(play.server_end.session), "TLS_AES_128_GCM_SHA256");
	versions(TLS_VERSION_1_2);
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
	assert_string_equal(tls_version_text(play.server_end.session), "TLSv1.2");
	assert_string_equal(tls_cipher_text(play.client_end.session), "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_int_equal(tls_alpn(play.server_end.session).len, 0);
	assert_false(tls_is_resumed(play.server_end.session));
}

static bool hello_has(const char *host, struct span text)
{
	struct span hello;
	bool has_text;

	tls_play_connect(&play, host, NULL);
	hello = buf_span(tls_output(play.client_end.session));
	has_text = memmem(hello.data, hello.len, text.data, text.len) != NULL;
	tls_end_done(&play.client_end);
	return has_text;
}

/* RFC 6066 3. */
TLS_PLAY_TEST(a_name_is_sent_and_an_address_is_not)
{
	/* The extension: one name of 9 bytes. */
	assert_true(hello_has("a.example", SPAN("\0\0\0\x0e\0\x0c\0\0\x09"
						"a.example")));
	assert_true(hello_has("a.example.", SPAN("\0\0\0\x0e\0\x0c\0\0\x09"
						 "a.example")));
	assert_false(hello_has("127.0.0.1", SPAN("127.0.0.1")));
	assert_false(hello_has("::1", SPAN("::1")));
	assert_false(hello_has("[fe80::1234]", SPAN("fe80::1234")));
}

/* Boxes between that know TLS 1.2 only let it through (RFC 8446 D.4). */
TLS_PLAY_TEST(a_handshake_of_1_3_looks_like_one_that_is_resumed)
{
	struct span flight;

	tls_play_accept(&play, &play.worker);
	tls_play_connect(&play, "a.example", NULL);
	tls_end_send(&play.client_end, &play.server_end);
	tls_end_take(&play.server_end, 0);
	flight = buf_span(tls_output(play.server_end.session));
	assert_non_null(memmem(flight.data, flight.len, "\x14\x03\x03\x00\x01\x01", 6));
}

/* Pieces of every small length; then a first piece of every length that may matter, the rest at once. */
static void assert_any_cut(void)
{
	size_t longest = 0;

	for (play.segment = 1; play.segment < 10; play.segment++) {
		tls_play_meet(&play, "a.example", NULL);
		tls_assert_talk(&play);
	}
	play.segment = 0;
	for (size_t cut = 1; cut == 1 || cut < longest; cut += cut < 200 ? 1 : 7) {
		tls_play_hang_up(&play);
		tls_play_accept(&play, &play.worker);
		tls_play_connect(&play, "a.example", NULL);
		tls_end_send(&play.client_end, &play.server_end);
		tls_end_take(&play.server_end, cut);
		tls_end_take(&play.server_end, 0);
		tls_end_send(&play.server_end, &play.client_end);
		longest = buf_len(&play.client_end.inbox);
		tls_end_take(&play.client_end, cut);
		tls_end_take(&play.client_end, 0);
		tls_play_run(&play);
		tls_assert_talk(&play);
	}
}

TLS_PLAY_TEST(bytes_of_1_3_may_be_cut_anywhere)
{
	assert_any_cut();
}

TLS_PLAY_TEST(bytes_of_1_2_may_be_cut_anywhere)
{
	versions(TLS_VERSION_1_2);
	assert_any_cut();
}

/* What an idle connection of the pool is asked for: every byte of a record but the last leaves it unfit. */
static void assert_within_record(void)
{
	size_t len;
	char byte;

	for (size_t cut = 1, is_more = 1; is_more; cut++) {
		tls_play_meet(&play, "a.example", NULL);
		assert_int_equal(tls_write(play.client_end.session, SPAN("answer")), 0);
		tls_end_send(&play.client_end, &play.server_end);
		len = buf_len(&play.server_end.inbox);
		is_more = cut + 1 < len;
		assert_false(tls_is_within_record(play.server_end.session));
		tls_feed(play.server_end.session, span_first(buf_span(&play.server_end.inbox), cut));
		assert_int_equal(tls_peek(play.server_end.session), -EAGAIN);
		assert_int_equal(tls_rest(play.server_end.session).len, 0);
		assert_true(tls_is_within_record(play.server_end.session));
		tls_feed(play.server_end.session, span_from(buf_span(&play.server_end.inbox), cut));
		for (size_t i = 0; i < strlen("answer"); i++)
			assert_int_equal(tls_read(play.server_end.session, &byte, 1), 1);
		assert_int_equal(tls_rest(play.server_end.session).len, 0);
		assert_false(tls_is_within_record(play.server_end.session));
	}
}

TLS_PLAY_TEST(part_of_a_record_of_1_3_is_no_silence)
{
	assert_within_record();
}

TLS_PLAY_TEST(part_of_a_record_of_1_2_is_no_silence)
{
	versions(TLS_VERSION_1_2);
	assert_within_record();
}

static void large_both_ways(size_t segment)
{
	char *bytes = malloc(LARGE_BYTES);

	assert_non_null(bytes);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	play.segment = 0;
	tls_play_meet(&play, "a.example", NULL);
	play.segment = segment;
	assert_int_equal(tls_write(play.client_end.session, span_of(bytes, LARGE_BYTES)), 0);
	assert_int_equal(tls_write(play.server_end.session, span_of(bytes, LARGE_BYTES)), 0);
	tls_play_run(&play);
	assert_true(span_eq(buf_span(&play.server_end.received), span_of(bytes, LARGE_BYTES)));
	assert_true(span_eq(buf_span(&play.client_end.received), span_of(bytes, LARGE_BYTES)));
	free(bytes);
}

TLS_PLAY_TEST(a_large_write_arrives_whole)
{
	large_both_ways(0);
	large_both_ways(16411);
	large_both_ways(997);
	versions(TLS_VERSION_1_2);
	large_both_ways(0);
}

TLS_PLAY_TEST(a_quiet_session_has_no_output_memory)
{
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_talk(&play);
	assert_null(tls_output(play.server_end.session)->data);
}

TLS_PLAY_TEST(the_owner_may_take_the_output_memory_away)
{
	struct buf taken;

	tls_play_meet(&play, "a.example", NULL);
	assert_int_equal(tls_write(play.server_end.session, SPAN("ping")), 0);
	taken = *tls_output(play.server_end.session);
	*tls_output(play.server_end.session) = (struct buf){ 0 };
	assert_int_equal(tls_write(play.server_end.session, SPAN(" and pong")), 0);
	assert_int_equal(buf_append(&play.client_end.inbox, buf_span(&taken), BUF_MAX_BYTES), 0);
	tls_play_run(&play);
	tls_assert_received(&play.client_end, "ping and pong");
	buf_done(&taken);
}

TLS_PLAY_TEST(what_the_reader_has_no_room_for_is_given_back_or_waits)
{
	char byte;
	unsigned int count = 0;

	tls_play_meet(&play, "a.example", NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tls_write(play.server_end.session, SPAN("ab")), 0);
	tls_end_send(&play.server_end, &play.client_end);
	tls_feed(play.client_end.session, buf_span(&play.client_end.inbox));
	assert_int_equal(tls_read(play.client_end.session, &byte, 1), 1);
	assert_true(tls_has_unread(play.client_end.session));
	/* The first record is in the session, the other two are not. */
	buf_consume(&play.client_end.inbox,
		    buf_len(&play.client_end.inbox) - tls_rest(play.client_end.session).len);
	assert_int_not_equal(buf_len(&play.client_end.inbox), 0);
	assert_true(tls_has_unread(play.client_end.session));
	assert_int_equal(tls_peek(play.client_end.session), 1);
	assert_int_equal(tls_read(play.client_end.session, &byte, 1), 1);
	assert_int_equal(byte, 'b');
	assert_false(tls_has_unread(play.client_end.session));
	assert_int_equal(tls_peek(play.client_end.session), -EAGAIN);
	assert_int_equal(tls_read(play.client_end.session, &byte, 1), -EAGAIN);
	tls_feed(play.client_end.session, buf_span(&play.client_end.inbox));
	while (tls_read(play.client_end.session, &byte, 1) == 1)
		count++;
	assert_int_equal(count, 4);
	assert_int_equal(tls_rest(play.client_end.session).len, 0);
}

TLS_PLAY_TEST(an_end_is_an_end_and_a_cut_is_none)
{
	char byte;

	tls_play_meet(&play, "a.example", NULL);
	assert_int_equal(tls_write(play.server_end.session, SPAN("bye")), 0);
	tls_close(play.server_end.session);
	tls_close(play.server_end.session);
	tls_play_run(&play);
	tls_assert_received(&play.client_end, "bye");
	assert_int_equal(play.client_end.read, 0);
	assert_int_equal(tls_peek(play.client_end.session), 0);
	assert_int_equal(tls_read(play.client_end.session, &byte, 1), 0);
	/* The other direction goes on (RFC 8446 6.1). */
	assert_int_equal(tls_write(play.client_end.session, SPAN("still here")), 0);
	tls_play_run(&play);
	tls_assert_received(&play.server_end, "still here");
	assert_int_equal(play.server_end.read, -EAGAIN);
}

TLS_PLAY_TEST(a_session_is_not_closed_in_its_handshake)
{
	tls_play_accept(&play, &play.worker);
	tls_close(play.server_end.session);
	assert_int_equal(buf_len(tls_output(play.server_end.session)), 0);
	assert_int_equal(tls_session_failure(play.server_end.session), TLS_FAIL_NONE);
	assert_string_equal(tls_session_fault(play.server_end.session), "");
}

static void offer(struct tls_params *params, const char *const *names)
{
	struct tls_fault fault;

	params->alpn = (struct span){ 0 };
	for (; *names; names++)
		assert_int_equal(tls_params_add_alpn(params, span_str(*names), &play.arena, &fault), 0);
}

TLS_PLAY_TEST(the_protocol_is_the_first_of_ours_that_the_client_offers)
{
	offer(&play.server_settings.params, (const char *[]){ "h2", "http/1.1", NULL });
	offer(&play.client_settings.params, (const char *[]){ "http/1.1", "x", "h2", NULL });
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_open(&play);
	assert_true(span_eq(tls_alpn(play.server_end.session), SPAN("h2")));
	assert_true(span_eq(tls_alpn(play.client_end.session), SPAN("h2")));
	offer(&play.client_settings.params, (const char *[]){ "http/1.1", NULL });
	tls_play_meet(&play, "a.example", NULL);
	assert_true(span_eq(tls_alpn(play.server_end.session), SPAN("http/1.1")));
}

TLS_PLAY_TEST(a_client_without_protocols_and_a_server_without_protocols_are_served)
{
	offer(&play.server_settings.params, (const char *[]){ "h2", NULL });
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_open(&play);
	assert_int_equal(tls_alpn(play.server_end.session).len, 0);
	offer(&play.server_settings.params, (const char *[]){ NULL });
	offer(&play.client_settings.params, (const char *[]){ "h2", NULL });
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_open(&play);
	assert_int_equal(tls_alpn(play.client_end.session).len, 0);
}

TLS_PLAY_TEST(a_client_that_offers_nothing_of_ours_is_refused)
{
	offer(&play.server_settings.params, (const char *[]){ "h2", "http/1.1", NULL });
	offer(&play.client_settings.params, (const char *[]){ "h", "http/1.10", NULL });
	tls_play_meet(&play, "a.example", NULL);
	tls_assert_failed(play.server_end.session, TLS_FAIL_PROTOCOL,
			  "no application protocol (ALPN) that both sides can use");
	tls_assert_failed(play.client_end.session, TLS_FAIL_ALERT,
			  "the peer refused: no application protocol (alert 120)");
}

TLS_PLAY_TEST(the_identity_is_the_one_whose_key_the_client_can_use)
{
	struct pki rsa =
		PKI(.name = "rsa", .issuer = &play.authority, .san = "DNS:a.example", .key = PKI_RSA);
	struct tls_identity *identity = tls_play_identity(&play, &rsa);
	const struct tls_identity *list[] = { play.identity, identity };
	static const struct {
		const char *cipher;
		const char *subject;
	} rows[] = { { "ECDHE-RSA-AES128-GCM-SHA256", "CN=rsa" },
		     { "ECDHE-ECDSA-AES128-GCM-SHA256", "CN=server" } };
	struct tls_certificate certificate;
	struct tls_fault fault;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		play.client_settings.params = (struct tls_params){ 0 };
		assert_int_equal(tls_params_add_cipher(&play.client_settings.params, span_str(rows[i].cipher),
						       &play.arena, &fault),
				 0);
		tls_play_hang_up(&play);
		tls_play_compile(&play);
		play.server_end.session = tls_accept(&play.worker, &play.server_settings, list, 2);
		play.server_end.handshake = -EAGAIN;
		play.server_end.read = -EAGAIN;
		tls_play_connect(&play, "a.example", NULL);
		tls_play_run(&play);
		tls_assert_open(&play);
		assert_int_equal(tls_peer(play.client_end.session, &play.arena, &certificate, NULL), 0);
		assert_true(span_eq(certificate.subject, span_str(rows[i].subject)));
	}
	tls_identity_free(identity);
	pki_free(&rsa);
}

TLS_PLAY_TEST(a_server_without_identity_refuses)
{
	struct tls_identity *identity = play.identity;

	play.identity = NULL;
	tls_play_meet(&play, "a.example", NULL);
	play.identity = identity;
	assert_int_equal(play.server_end.handshake, -EPROTO);
	assert_int_equal(tls_session_failure(play.server_end.session), TLS_FAIL_PROTOCOL);
	assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_ALERT);
}

TLS_PLAY_TEST(sessions_outlive_settings_identity_trust_and_context)
{
	struct tls_identity *identity = tls_play_identity(&play, &play.server);
	struct tls_trust *trust = tls_play_trust(&play, &play.authority);
	const struct tls_identity *list[] = { identity };

	play.client_settings.trust = trust;
	tls_play_compile(&play);
	play.server_end.session = tls_accept(&play.worker, &play.server_settings, list, 1);
	play.server_end.handshake = -EAGAIN;
	play.server_end.read = -EAGAIN;
	tls_play_connect(&play, "a.example", NULL);
	tls_identity_free(identity);
	tls_trust_free(trust);
	tls_worker_forget(&play.worker);
	tls_worker_forget(&play.other);
	tls_play_run(&play);
	tls_assert_talk(&play);
}

TLS_PLAY_TEST(equal_settings_share_a_context_whatever_their_scope)
{
	struct ssl_ctx_st *first = tls_context_server(&play.worker, &play.server_settings);

	play.server_settings.scope = SPAN("another");
	tls_play_compile(&play);
	assert_ptr_equal(tls_context_server(&play.worker, &play.server_settings), first);
	play.server_settings.params.min_version = TLS_VERSION_1_3;
	tls_play_compile(&play);
	assert_ptr_not_equal(tls_context_server(&play.worker, &play.server_settings), first);
}

TLS_PLAY_TEST(a_worker_of_zeros_may_be_forgotten_and_ended)
{
	struct tls_worker worker = { 0 };

	tls_worker_forget(&worker);
	tls_worker_done(&worker);
	tls_worker_init(&worker, tls_play_secret, tls_play_now, &play);
	tls_worker_forget(&worker);
	tls_worker_done(&worker);
}

static int meet_without_memory(void *context)
{
	const struct tls_identity *list[] = { play.identity };
	struct tls_end *server = &play.server_end, *client = &play.client_end;
	int error = -ENOMEM;

	(void)context;
	tls_worker_forget(&play.worker);
	tls_worker_forget(&play.other);
	server->session = tls_accept(&play.worker, &play.server_settings, list, 1);
	client->session = tls_connect(&play.other, &play.client_settings, SPAN("a.example"), NULL);
	for (int i = 0; i < 4 && server->session && client->session; i++) {
		tls_feed(client->session, buf_span(&client->inbox));
		client->handshake = tls_handshake(client->session);
		tls_rest(client->session);
		buf_done(&server->inbox);
		server->inbox = *tls_output(client->session);
		*tls_output(client->session) = (struct buf){ 0 };
		tls_feed(server->session, buf_span(&server->inbox));
		server->handshake = tls_handshake(server->session);
		tls_rest(server->session);
		buf_done(&client->inbox);
		client->inbox = *tls_output(server->session);
		*tls_output(server->session) = (struct buf){ 0 };
	}
	if (server->session && client->session && server->handshake == 0 && client->handshake == 0)
		error = tls_write(server->session, SPAN("ping"));
	else if (server->session && client->session)
		assert_true(tls_session_failure(server->session) == TLS_FAIL_MEMORY ||
			    tls_session_failure(client->session) == TLS_FAIL_MEMORY);
	tls_play_hang_up(&play);
	return error;
}

TLS_PLAY_TEST(each_allocation_of_a_session_may_fail)
{
	assert_true(alloc_fail_each(meet_without_memory, NULL) > 5);
}
