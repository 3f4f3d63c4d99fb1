/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_play.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "user/base/check.h"

/* ---- bytes that are no TLS, or bad TLS ---- */

/* What the server says to these bytes as a whole; they may be cut anywhere and it says the same. */
static int server_hears(struct span bytes)
{
	int results[2];

	for (int i = 0; i < 2; i++) {
		tls_play_hang_up(&play);
		tls_play_accept(&play, &play.worker);
		assert_int_equal(buf_append(&play.server_end.inbox, bytes, BUF_MAX_BYTES), 0);
		while (tls_end_take(&play.server_end, (size_t)i))
			;
		results[i] = play.server_end.handshake;
	}
	assert_int_equal(results[0], results[1]);
	return results[0];
}

TLS_PLAY_TEST(http_in_place_of_a_hello_is_told_as_such)
{
	static const char *const requests[] = { "GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\n",
						"HEAD / HTTP/1.0\r\n", "PUT / HTTP/1.1\r\n",
						"CONNECT a:1 HTTP/1.1\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		assert_int_equal(server_hears(span_str(requests[i])), -EPROTO);
		tls_assert_failed(play.server_end.session, TLS_FAIL_PROTOCOL,
				  "the client speaks HTTP without TLS");
	}
}

TLS_PLAY_TEST(a_server_without_tls_is_told_as_such)
{
	static const struct {
		const char *answer, *fault;
	} table[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", "the peer answers in plain HTTP, without TLS" },
		{ "220 mail ESMTP\r\n", "the peer does not speak TLS (wrong version number)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		tls_play_hang_up(&play);
		tls_play_connect(&play, "a.example", NULL);
		assert_int_equal(buf_append(&play.client_end.inbox, span_str(table[i].answer), BUF_MAX_BYTES),
				 0);
		tls_end_take(&play.client_end, 0);
		tls_assert_failed(play.client_end.session, TLS_FAIL_PROTOCOL, table[i].fault);
	}
}

/* A hello of this client, as it stands on the wire. */
static struct span hello(void)
{
	tls_play_connect(&play, "a.example", NULL);
	return buf_span(tls_output(play.client_end.session));
}

TLS_PLAY_TEST(a_hello_with_any_byte_changed_is_answered_or_refused)
{
	struct span good = hello();
	char *bytes = malloc(good.len);

	assert_non_null(bytes);
	for (size_t at = 0; at < good.len; at++) {
		for (unsigned int mask = 1; mask < 256; mask <<= 2) {
			memcpy(bytes, good.data, good.len);
			bytes[at] = (char)(bytes[at] ^ (int)mask);
			tls_end_done(&play.server_end);
			tls_play_accept(&play, &play.worker);
			assert_int_equal(
				buf_append(&play.server_end.inbox, span_of(bytes, good.len), BUF_MAX_BYTES),
				0);
			tls_end_take(&play.server_end, 0);
			assert_true(play.server_end.handshake == -EAGAIN ||
				    play.server_end.handshake == -EPROTO);
			assert_int_equal(tls_session_fault(play.server_end.session)[0] == '\0',
					 play.server_end.handshake == -EAGAIN);
		}
	}
	free(bytes);
}

TLS_PLAY_TEST(a_hello_that_is_cut_waits)
{
	struct span good = hello();
	char *bytes = malloc(good.len);
	size_t len = good.len;

	assert_non_null(bytes);
	memcpy(bytes, good.data, len);
	for (size_t at = 0; at < len; at++) {
		assert_int_equal(server_hears(span_of(bytes, at)), -EAGAIN);
		assert_int_equal(buf_len(tls_output(play.server_end.session)), 0);
	}
	free(bytes);
}

TLS_PLAY_TEST(a_hello_that_says_it_is_huge_is_refused)
{
	/* A record of a handshake message of 16 MiB. */
	static const char huge[] = "\x16\x03\x01\x00\x04\x01\xff\xff\xff";
	/* A record of 65535 bytes. */
	static const char record[] = "\x16\x03\x01\xff\xff\x01\x00\x00\x10";

	assert_int_equal(server_hears(span_of(huge, sizeof(huge) - 1)), -EPROTO);
	assert_int_equal(tls_session_failure(play.server_end.session), TLS_FAIL_PROTOCOL);
	assert_int_equal(server_hears(span_of(record, sizeof(record) - 1)), -EPROTO);
}

TLS_PLAY_TEST(random_bytes_are_refused_or_waited_for)
{
	unsigned int seed = (unsigned int)time(NULL);
	char bytes[600];

	printf("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 3000; i++) {
		size_t len = (size_t)rand() % sizeof(bytes);

		for (size_t j = 0; j < len; j++)
			bytes[j] = (char)rand();
		/* Every other one looks like a record with a message. */
		if (i % 2 && len > 6)
			memcpy(bytes, (char[]){ 22, 3, 1, 0, (char)(rand() % 200), (char)(rand() % 3) }, 6);
		server_hears(span_of(bytes, len));
		tls_end_done(&play.client_end);
		tls_play_connect(&play, "a.example", NULL);
		assert_int_equal(buf_append(&play.client_end.inbox, span_of(bytes, len), BUF_MAX_BYTES), 0);
		tls_end_take(&play.client_end, 0);
	}
}

TLS_PLAY_TEST(a_record_with_any_byte_changed_is_refused)
{
	struct buf *inbox = &play.client_end.inbox;

	for (size_t at = 0; at < 5 + 5 + 16 + 1; at++) {
		tls_play_meet(&play, "a.example", NULL);
		assert_int_equal(tls_write(play.server_end.session, SPAN("hello")), 0);
		tls_end_send(&play.server_end, &play.client_end);
		assert_int_equal(buf_len(inbox), 5 + 5 + 16 + 1);
		inbox->data[inbox->start + at] = (char)(inbox->data[inbox->start + at] ^ 4);
		tls_play_run(&play);
		assert_int_equal(buf_len(&play.client_end.received), 0);
		/* A length that is longer waits for the rest; everything else is refused. */
		if (play.client_end.read == -EAGAIN)
			assert_in_range(at, 3, 4);
		else
			assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_PROTOCOL);
	}
}

TLS_PLAY_TEST(a_failed_session_stays_failed)
{
	char byte;

	server_hears(SPAN("GET / HTTP/1.1\r\n\r\n"));
	assert_int_equal(tls_handshake(play.server_end.session), -EPROTO);
	assert_int_equal(tls_read(play.server_end.session, &byte, 1), -EPROTO);
	assert_int_equal(tls_peek(play.server_end.session), -EPROTO);
	assert_int_equal(tls_write(play.server_end.session, SPAN("x")), -EPROTO);
	tls_close(play.server_end.session);
	tls_assert_failed(play.server_end.session, TLS_FAIL_PROTOCOL, "the client speaks HTTP without TLS");
}

TLS_PLAY_TEST(errors_of_others_are_not_taken_for_ours)
{
	char byte;

	tls_play_meet(&play, "a.example", NULL);
	assert_int_equal(tls_write(play.server_end.session, SPAN("x")), 0);
	ERR_raise(ERR_LIB_SSL, SSL_R_HTTP_REQUEST);
	assert_int_equal(tls_peek(play.client_end.session), -EAGAIN);
	tls_end_send(&play.server_end, &play.client_end);
	tls_feed(play.client_end.session, span_first(buf_span(&play.client_end.inbox), 3));
	ERR_raise(ERR_LIB_SSL, SSL_R_HTTP_REQUEST);
	assert_int_equal(tls_read(play.client_end.session, &byte, 1), -EAGAIN);
	assert_int_equal(tls_session_failure(play.client_end.session), TLS_FAIL_NONE);
	ERR_clear_error();
}

/* ---- a client of another make: what ours does not do ---- */

struct stranger {
	SSL *ssl;
	BIO *in, *out; /* of the ssl */
};

static struct stranger stranger_new(int max_version, const char *ciphers)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct stranger s = { .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem()) };

	assert_non_null(ctx);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, max_version);
	if (ciphers)
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers), 1);
	s.ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	BIO_set_mem_eof_return(s.in, -1);
	SSL_set_bio(s.ssl, s.in, s.out);
	SSL_set_connect_state(s.ssl);
	return s;
}

/* Until nothing moves. */
static void stranger_talk(struct stranger *s)
{
	char bytes[4096];
	bool is_moving = true;
	int len;

	while (is_moving) {
		if (SSL_is_init_finished(s->ssl))
			SSL_read(s->ssl, bytes, sizeof(bytes));
		else
			SSL_do_handshake(s->ssl);
		is_moving = false;
		while ((len = BIO_read(s->out, bytes, sizeof(bytes))) > 0) {
			is_moving = true;
			assert_int_equal(buf_append(&play.server_end.inbox, span_of(bytes, (size_t)len),
						    BUF_MAX_BYTES),
					 0);
		}
		tls_end_take(&play.server_end, 0);
		if (buf_len(tls_output(play.server_end.session))) {
			struct span output = buf_span(tls_output(play.server_end.session));

			is_moving = true;
			BIO_write(s->in, output.data, (int)output.len);
			buf_consume(tls_output(play.server_end.session), output.len);
		}
	}
	ERR_clear_error();
}

TLS_PLAY_TEST(old_versions_and_old_ciphers_are_refused)
{
	static const struct {
		int version;
		const char *ciphers;
		const char *fault;
	} rows[] = {
		{ TLS1_VERSION, NULL, "no TLS version that both sides can use" },
		{ TLS1_1_VERSION, NULL, "no TLS version that both sides can use" },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",
		  "no cipher and certificate that both sides can use" },
		{ TLS1_2_VERSION, "AES128-GCM-SHA256", "no cipher and certificate that both sides can use" },
		{ TLS1_2_VERSION, "ADH-AES128-SHA256", "no cipher and certificate that both sides can use" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stranger s = stranger_new(rows[i].version, rows[i].ciphers);

		tls_play_hang_up(&play);
		tls_play_accept(&play, &play.worker);
		stranger_talk(&s);
		tls_assert_failed(play.server_end.session, TLS_FAIL_PROTOCOL, rows[i].fault);
		SSL_free(s.ssl);
	}
}

TLS_PLAY_TEST(there_is_no_second_handshake)
{
	struct stranger s = stranger_new(TLS1_2_VERSION, NULL);
	char bytes[4096];
	int len;

	tls_play_accept(&play, &play.worker);
	stranger_talk(&s);
	assert_int_equal(play.server_end.handshake, 0);
	assert_int_equal(SSL_renegotiate(s.ssl), 1);
	assert_int_equal(SSL_do_handshake(s.ssl), -1);
	len = BIO_read(s.out, bytes, sizeof(bytes));
	assert_true(len > 0);
	assert_int_equal(buf_append(&play.server_end.inbox, span_of(bytes, (size_t)len), BUF_MAX_BYTES), 0);
	tls_end_take(&play.server_end, 0);
	/* A warning, shorter than what asked for it; the connection goes on. */
	assert_int_equal(play.server_end.read, -EAGAIN);
	assert_in_range(buf_len(tls_output(play.server_end.session)), 1, (unsigned int)len - 1);
	assert_int_equal(tls_write(play.server_end.session, SPAN("still here")), 0);
	SSL_free(s.ssl);
	ERR_clear_error();
}

TLS_PLAY_TEST(many_updates_of_keys_have_one_answer)
{
	struct stranger s = stranger_new(TLS1_3_VERSION, NULL);
	struct buf all = { 0 };
	char bytes[4096];
	int len;

	tls_play_accept(&play, &play.worker);
	stranger_talk(&s);
	assert_int_equal(play.server_end.handshake, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(SSL_key_update(s.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(s.ssl), 1);
		while ((len = BIO_read(s.out, bytes, sizeof(bytes))) > 0)
			assert_int_equal(buf_append(&all, span_of(bytes, (size_t)len), BUF_MAX_BYTES), 0);
	}
	assert_int_equal(buf_append(&play.server_end.inbox, buf_span(&all), BUF_MAX_BYTES), 0);
	tls_end_take(&play.server_end, 0);
	assert_int_equal(play.server_end.read, -EAGAIN);
	/* Less goes out than came in. */
	assert_true(buf_len(tls_output(play.server_end.session)) <= buf_len(&all));
	assert_int_equal(tls_write(play.server_end.session, SPAN("still here")), 0);
	buf_done(&all);
	SSL_free(s.ssl);
}
