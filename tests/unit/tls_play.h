/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

#include "tests/unit/tls_pki.h"
#include "user/base/arena.h"
#include "user/tls/session.h"

/*
 * Two sessions that talk in memory: an authority, a server, two workers with one secret, and a network whose
 * pieces are as long as the test wants.
 */
struct tls_end {
	struct tls_session *session; /* owner; NULL: not there */
	struct buf inbox; /* sent by the other end, not yet taken */
	struct buf received; /* plain text */
	int handshake; /* what tls_handshake() said last */
	ssize_t read; /* what tls_read() said last */
};

struct tls_play {
	struct arena arena;
	struct pki authority;
	struct pki server; /* of a.example, *.b.example, 127.0.0.1, spiffe://a/b */
	struct tls_identity *identity;
	struct tls_trust *trust;
	struct tls_worker worker; /* of the server */
	struct tls_worker other; /* of the clients; also a second worker for servers */
	uint64_t now_s;
	struct tls_server_settings server_settings;
	struct tls_client_settings client_settings;
	struct tls_end server_end, client_end;
	size_t segment; /* bytes at a time; 0: all */
	struct ssl_session_st *ticket; /* owner; the newest */
	unsigned int ticket_count;
};

static const uint8_t tls_play_secret[TICKET_SECRET_BYTES] = { 1, 2, 3 };

static inline uint64_t tls_play_now(void *context)
{
	return ((struct tls_play *)context)->now_s;
}

static inline void tls_play_on_ticket(void *context, struct ssl_session_st *resume)
{
	struct tls_play *play = context;

	tls_resume_free(play->ticket);
	play->ticket = resume;
	play->ticket_count++;
}

static inline struct tls_identity *tls_play_identity(struct tls_play *play, const struct pki *pki)
{
	struct tls_identity *identity = NULL;
	struct tls_fault fault;

	if (tls_identity_load(pki->cert_pem, pki->key_pem, &play->arena, &identity, &fault))
		fail_msg("identity: %s", fault.text);
	return identity;
}

static inline struct tls_trust *tls_play_trust(struct tls_play *play, const struct pki *pki)
{
	struct tls_trust *trust = NULL;
	struct tls_fault fault;

	if (tls_trust_load(pki->cert_pem, &play->arena, &trust, &fault))
		fail_msg("trust: %s", fault.text);
	return trust;
}

static inline void tls_play_compile(struct tls_play *play)
{
	struct tls_fault fault;

	if (settings_compile_server(&play->server_settings, &fault) ||
	    settings_compile_client(&play->client_settings, &fault))
		fail_msg("compile: %s", fault.text);
}

static inline void tls_play_init(struct tls_play *play)
{
	*play = (struct tls_play){ .now_s = 100 };
	arena_init(&play->arena, 4096);
	play->authority = PKI(.name = "authority", .is_authority = true);
	play->server = PKI(.name = "server", .issuer = &play->authority,
			   .san = "DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1,URI:spiffe://a/b");
	play->identity = tls_play_identity(play, &play->server);
	play->trust = tls_play_trust(play, &play->authority);
	tls_worker_init(&play->worker, tls_play_secret, tls_play_now, play);
	tls_worker_init(&play->other, tls_play_secret, tls_play_now, play);
	play->server_settings.scope = SPAN("listener");
	play->client_settings.trust = play->trust;
	tls_play_compile(play);
}

static inline void tls_end_done(struct tls_end *end)
{
	tls_session_free(end->session);
	buf_done(&end->inbox);
	buf_done(&end->received);
	*end = (struct tls_end){ 0 };
}

static inline void tls_play_hang_up(struct tls_play *play)
{
	tls_end_done(&play->server_end);
	tls_end_done(&play->client_end);
}

static inline void tls_play_done(struct tls_play *play)
{
	tls_play_hang_up(play);
	tls_resume_free(play->ticket);
	tls_worker_done(&play->worker);
	tls_worker_done(&play->other);
	tls_identity_free(play->identity);
	tls_trust_free(play->trust);
	pki_free(&play->authority);
	pki_free(&play->server);
	arena_done(&play->arena);
}

/* ---- the network ---- */

static inline void tls_end_read(struct tls_end *end)
{
	char bytes[4096];

	while ((end->read = tls_read(end->session, bytes, sizeof(bytes))) > 0)
		assert_int_equal(buf_append(&end->received, span_of(bytes, (size_t)end->read), BUF_MAX_BYTES),
				 0);
}

/* Takes at most `most` bytes of the inbox. False: nothing was there. */
static inline bool tls_end_take(struct tls_end *end, size_t most)
{
	struct span segment = span_first(buf_span(&end->inbox), most ? most : SIZE_MAX);

	if (segment.len == 0)
		return false;
	tls_feed(end->session, segment);
	if (end->handshake)
		end->handshake = tls_handshake(end->session);
	if (end->handshake == 0)
		tls_end_read(end);
	buf_consume(&end->inbox, segment.len - tls_rest(end->session).len);
	return end->handshake != -EPROTO && end->read != -EPROTO && end->read != 0;
}

static inline void tls_end_send(struct tls_end *from, struct tls_end *to)
{
	struct buf *output = tls_output(from->session);

	if (to)
		assert_int_equal(buf_append(&to->inbox, buf_span(output), BUF_MAX_BYTES), 0);
	buf_consume(output, buf_len(output));
	buf_release(output);
}

/* Until nothing moves any more. */
static inline void tls_play_run(struct tls_play *play)
{
	bool is_moving = true;

	while (is_moving) {
		tls_end_send(&play->client_end, &play->server_end);
		is_moving = tls_end_take(&play->server_end, play->segment);
		tls_end_send(&play->server_end, &play->client_end);
		is_moving = tls_end_take(&play->client_end, play->segment) || is_moving;
	}
}

static inline void tls_play_accept(struct tls_play *play, struct tls_worker *worker)
{
	const struct tls_identity *list[] = { play->identity };

	play->server_end.session = tls_accept(worker, &play->server_settings, list, play->identity ? 1 : 0);
	assert_non_null(play->server_end.session);
	play->server_end.handshake = -EAGAIN;
	play->server_end.read = -EAGAIN;
}

static inline void tls_play_connect(struct tls_play *play, const char *host, struct ssl_session_st *resume)
{
	play->client_end.session = tls_connect(&play->other, &play->client_settings, span_str(host), resume);
	assert_non_null(play->client_end.session);
	tls_on_ticket(play->client_end.session, tls_play_on_ticket, play);
	play->client_end.read = -EAGAIN;
	play->client_end.handshake = tls_handshake(play->client_end.session);
	assert_int_equal(play->client_end.handshake, -EAGAIN);
}

/* A whole handshake with the settings as they are. */
static inline void tls_play_meet(struct tls_play *play, const char *host, struct ssl_session_st *resume)
{
	tls_play_hang_up(play);
	tls_play_compile(play);
	tls_play_accept(play, &play->worker);
	tls_play_connect(play, host, resume);
	tls_play_run(play);
}

static inline void tls_assert_open(const struct tls_play *play)
{
	if (play->server_end.handshake || play->client_end.handshake)
		fail_msg("server %d (%s), client %d (%s)", play->server_end.handshake,
			 tls_session_fault(play->server_end.session), play->client_end.handshake,
			 tls_session_fault(play->client_end.session));
}

static inline void tls_assert_failed(const struct tls_session *session, enum tls_failure failure,
				     const char *fault)
{
	assert_string_equal(tls_session_fault(session), fault);
	assert_int_equal(tls_session_failure(session), failure);
}

static inline void tls_assert_received(struct tls_end *end, const char *text)
{
	if (!span_eq(buf_span(&end->received), span_str(text)))
		fail_msg("received \"%.*s\", not \"%s\"", SPAN_FMT(buf_span(&end->received)), text);
	buf_consume(&end->received, buf_len(&end->received));
}

/* Words in both directions. */
static inline void tls_assert_talk(struct tls_play *play)
{
	tls_assert_open(play);
	assert_int_equal(tls_write(play->client_end.session, SPAN("ping")), 0);
	tls_play_run(play);
	tls_assert_received(&play->server_end, "ping");
	assert_int_equal(tls_write(play->server_end.session, SPAN("pong")), 0);
	tls_play_run(play);
	tls_assert_received(&play->client_end, "pong");
}

/* One play for the tests of a file. */
#define TLS_PLAY_TEST(name) TEST_WITH(name, tls_play_make, tls_play_drop)
static struct tls_play play;

static inline int tls_play_make(void **state __attribute__((unused)))
{
	tls_play_init(&play);
	return 0;
}

static inline int tls_play_drop(void **state __attribute__((unused)))
{
	tls_play_done(&play);
	return 0;
}
