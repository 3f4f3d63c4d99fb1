/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS sessions. The first byte chooses:
 *   0..127   the rest is what a server hears
 *   128..191 the rest is what a client hears
 *   192..255 the rest are steps of two sessions: writes, deliveries, spoilt bytes, closes
 * The lower bits choose settings. What has to hold:
 *   - a step says done, more, end or failed, a failure has a kind and a printable sentence, and stays;
 *   - the answer is the same however the bytes are cut;
 *   - what is written in answer to bytes is bounded;
 *   - between two of ours what arrives is a beginning of what was sent, whatever the network does; all of it,
 * and an end only where one was said, when the network does nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "user/base/arena.h"
#include "user/tls/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MUST(condition) must((condition), __LINE__, #condition)

enum {
	STEPS_MAX = 2000,
	OUTPUT_MAX_BYTES = 32 * 1024, /* in answer to what a stranger says */
	WRITE_UNIT_BYTES = 700,
};

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

/* ---- what all inputs share: keys and settings ---- */

static struct arena arena;
static struct tls_identity *identity;
static struct tls_trust *trust;
static struct tls_server_settings servers[4];
static struct tls_client_settings clients[4];
static struct tls_worker worker;

static struct span bio_text(BIO *bio)
{
	char *text;
	long len = BIO_get_mem_data(bio, &text);
	struct span copy = arena_copy(&arena, span_of(text, (size_t)len));

	BIO_free(bio);
	return copy;
}

/* A certificate of its own authority, for a.example. */
static void make_identity(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();
	X509_EXTENSION *names =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:a.example,URI:spiffe://a");
	BIO *cert = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	struct tls_fault fault;
	struct span cert_pem;

	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
	X509_gmtime_adj(X509_getm_notBefore(x509), -60);
	X509_gmtime_adj(X509_getm_notAfter(x509), 30 * 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
				   (const unsigned char *)"a", -1, -1, 0);
	X509_set_issuer_name(x509, X509_get_subject_name(x509));
	X509_set_pubkey(x509, key);
	MUST(X509_add_ext(x509, names, -1) == 1 && X509_sign(x509, key, EVP_sha256()) > 0);
	MUST(PEM_write_bio_X509(cert, x509) &&
	     PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL));
	cert_pem = bio_text(cert);
	MUST(tls_identity_load(cert_pem, bio_text(secret), &arena, &identity, &fault) == 0);
	MUST(tls_trust_load(cert_pem, &arena, &trust, &fault) == 0);
	X509_EXTENSION_free(names);
	X509_free(x509);
	EVP_PKEY_free(key);
}

static uint64_t now_s(void *context)
{
	(void)context;
	return 100;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t secret[TICKET_SECRET_BYTES] = { 1 };
	struct tls_fault fault;

	(void)argc, (void)argv;
	arena_init(&arena, 4096);
	make_identity();
	for (int i = 0; i < 4; i++) {
		servers[i] = (struct tls_server_settings){ .scope = SPAN("x") };
		clients[i] = (struct tls_client_settings){ .trust = trust, .identity = identity };
		if (i & 1) {
			servers[i].client_auth = TLS_CLIENT_REQUIRED;
			servers[i].client_trust = trust;
			clients[i].verify = TLS_VERIFY_NONE;
			MUST(tls_params_add_alpn(&servers[i].params, SPAN("h2"), &arena, &fault) == 0);
			MUST(tls_params_add_alpn(&clients[i].params, SPAN("h2"), &arena, &fault) == 0);
		}
		if (i & 2)
			clients[i].params.max_version = TLS_VERSION_1_2;
		MUST(settings_compile_server(&servers[i], &fault) == 0 &&
		     settings_compile_client(&clients[i], &fault) == 0);
	}
	return tls_worker_init(&worker, secret, now_s, NULL);
}

/* ---- one end ---- */

struct end {
	struct tls_session *session;
	int handshake;
	ssize_t read; /* what the last tls_read() said */
	bool is_closed;
	size_t sent_bytes, received_bytes; /* of plain text */
	struct buf inbox;
};

static struct tls_session *new_server(unsigned int settings)
{
	const struct tls_identity *list[] = { identity };

	return tls_accept(&worker, &servers[settings & 3], list, 1);
}

static struct tls_session *new_client(unsigned int settings)
{
	return tls_connect(&worker, &clients[settings & 3], SPAN("a.example"), NULL);
}

/* The n-th byte of what an end says. */
static char byte_at(size_t at)
{
	return (char)(at * 31 + at / 256);
}

static void check_failure(const struct end *end, bool has_failed)
{
	const char *fault = tls_session_fault(end->session);

	MUST((tls_session_failure(end->session) != TLS_FAIL_NONE) == has_failed);
	MUST((fault[0] != '\0') == has_failed);
	for (; *fault; fault++)
		MUST(*fault >= 0x20 && *fault < 0x7f);
}

static void end_read(struct end *end)
{
	char bytes[1000];

	while ((end->read = tls_read(end->session, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < end->read; i++)
			MUST(bytes[i] == byte_at(end->received_bytes + (size_t)i));
		end->received_bytes += (size_t)end->read;
	}
	MUST(end->read == 0 || end->read == -EAGAIN || end->read == -EPROTO);
}

/* Takes a piece; says how much of it was taken. */
static size_t end_take(struct end *end, struct span piece)
{
	size_t rest;

	tls_feed(end->session, piece);
	if (end->handshake)
		end->handshake = tls_handshake(end->session);
	MUST(end->handshake == 0 || end->handshake == -EAGAIN || end->handshake == -EPROTO);
	if (end->handshake == 0)
		end_read(end);
	rest = tls_rest(end->session).len;
	check_failure(end, end->handshake == -EPROTO || end->read == -EPROTO);
	if (end->handshake == -EPROTO) {
		MUST(tls_handshake(end->session) == -EPROTO);
		MUST(tls_write(end->session, SPAN("x")) == -EPROTO);
	}
	MUST(rest <= piece.len);
	return piece.len - rest;
}

/* ---- what a stranger says ---- */

static void hear(bool is_client, unsigned int settings, struct span bytes, size_t cut, struct end *ret)
{
	struct end end = { .session = is_client ? new_client(settings) : new_server(settings),
			   .read = -EAGAIN };
	size_t len;

	MUST(end.session);
	end.handshake = is_client ? tls_handshake(end.session) : -EAGAIN;
	MUST(end.handshake == -EAGAIN);
	while (bytes.len && end.handshake != -EPROTO && end.read != -EPROTO && end.read != 0) {
		len = end_take(&end, span_first(bytes, cut));
		/* Nobody has the keys but by chance, so no end is said within. */
		MUST(len > 0);
		bytes = span_from(bytes, len);
	}
	MUST(end.handshake != 0 && end.received_bytes == 0);
	MUST(buf_len(tls_output(end.session)) <= OUTPUT_MAX_BYTES);
	tls_close(end.session);
	*ret = end;
}

static void hear_all(bool is_client, unsigned int settings, struct span bytes)
{
	size_t cuts[] = { bytes.len + 1, 1,
			  bytes.len ? 1 + (size_t)(unsigned char)bytes.data[bytes.len / 2] : 1 };
	struct end ends[3];

	for (int i = 0; i < 3; i++) {
		hear(is_client, settings, bytes, cuts[i], &ends[i]);
		MUST(ends[i].handshake == ends[0].handshake);
		MUST(tls_session_failure(ends[i].session) == tls_session_failure(ends[0].session));
	}
	for (int i = 0; i < 3; i++)
		tls_session_free(ends[i].session);
}

/* ---- two of ours ---- */

static void collect(struct end *from, struct end *to)
{
	struct buf *output = tls_output(from->session);

	MUST(buf_append(&to->inbox, buf_span(output), BUF_MAX_BYTES) == 0);
	buf_consume(output, buf_len(output));
	buf_release(output);
}

static bool has_ended(const struct end *end)
{
	return end->handshake == -EPROTO || end->read == -EPROTO || end->read == 0;
}

static bool deliver(struct end *from, struct end *to, size_t most)
{
	struct span piece;

	collect(from, to);
	piece = span_first(buf_span(&to->inbox), most);
	if (piece.len == 0 || has_ended(to))
		return false;
	buf_consume(&to->inbox, end_take(to, piece));
	return true;
}

static void write_some(struct end *end, size_t len)
{
	char bytes[256 * WRITE_UNIT_BYTES];
	int error;

	if (end->handshake != 0 || end->is_closed || len == 0)
		return;
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(end->sent_bytes + i);
	error = tls_write(end->session, span_of(bytes, len));
	MUST(error == 0 || (error == -EPROTO && end->read == -EPROTO));
	if (!error)
		end->sent_bytes += len;
}

/* Whether the network has changed something. */
static bool step(struct end *a, struct end *b, unsigned int what, unsigned int argument)
{
	if (what & 1) {
		struct end *other = a;

		a = b;
		b = other;
	}
	switch (what >> 1 & 3) {
	case 0:
		write_some(a, (size_t)argument * (what & 8 ? WRITE_UNIT_BYTES : 1));
		return false;
	case 1:
		deliver(a, b, what & 8 ? SIZE_MAX : argument + 1);
		return false;
	case 2:
		if ((what & 0xf8) != 0xf8)
			return false;
		tls_close(a->session);
		a->is_closed = a->is_closed || a->handshake == 0;
		return false;
	default:
		collect(a, b);
		if ((what & 0xf0) != 0xf0 || buf_len(&b->inbox) <= argument)
			return false;
		b->inbox.data[b->inbox.start + argument] ^= (char)(1 << (what >> 3 & 1));
		return true;
	}
}

static void check_pair(const struct end *from, const struct end *to, bool is_spoilt)
{
	MUST(to->received_bytes <= from->sent_bytes);
	MUST(to->read != 0 || from->is_closed);
	if (is_spoilt)
		return;
	MUST(to->handshake == 0 && to->read != -EPROTO);
	MUST(to->received_bytes == from->sent_bytes);
	MUST((to->read == 0) == from->is_closed);
}

static void end_done(struct end *end)
{
	tls_session_free(end->session);
	buf_done(&end->inbox);
}

static void talk(unsigned int settings, struct span steps)
{
	/* Both verify; a client of 1.2 or 1.3. */
	struct end server = { .session = new_server(settings), .handshake = -EAGAIN, .read = -EAGAIN };
	struct end client = { .session = new_client(settings), .handshake = -EAGAIN, .read = -EAGAIN };
	bool is_spoilt = false, is_moving = true;

	MUST(server.session && client.session);
	client.handshake = tls_handshake(client.session);
	steps = span_first(steps, STEPS_MAX);
	for (size_t i = 0; i + 1 < steps.len; i += 2)
		is_spoilt = step(&client, &server, (unsigned char)steps.data[i],
				 (unsigned char)steps.data[i + 1]) ||
			    is_spoilt;
	while (is_moving) {
		is_moving = deliver(&client, &server, SIZE_MAX);
		is_moving = deliver(&server, &client, SIZE_MAX) || is_moving;
	}
	check_pair(&server, &client, is_spoilt);
	check_pair(&client, &server, is_spoilt);
	end_done(&server);
	end_done(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest;

	if (size < 1)
		return 0;
	rest = span_of(data + 1, size - 1);
	if (data[0] < 128)
		hear_all(false, data[0], rest);
	else if (data[0] < 192)
		hear_all(true, data[0], rest);
	else
		talk(data[0], rest);
	return 0;
}
