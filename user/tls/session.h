/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/buf.h"
#include "user/tls/context.h"

/*
 * One TLS connection, without its socket: received ciphertext goes in by tls_feed(), output is taken from
 * tls_output(). The owner sends the output after every call that may have written (handshake, read, write,
 * close).
 */
struct tls_session;

enum tls_failure {
	TLS_FAIL_NONE,
	TLS_FAIL_PROTOCOL, /* malformed, or no common parameters */
	TLS_FAIL_VERIFY, /* the peer's certificate is not trusted, or missing */
	TLS_FAIL_ALERT, /* the peer refused ours, or gave up */
	TLS_FAIL_MEMORY,
};

/*
 * Those whose names match, at most one of each kind of key: the library selects one that the client supports.
 */
enum { TLS_IDENTITIES_MAX = 4 };

/* NULL without memory. Settings and identities are borrowed during the call. */
struct tls_session *tls_accept(struct tls_worker *worker, const struct tls_server_settings *settings,
			       const struct tls_identity *const *identity_list, uint32_t identity_count);
struct ssl_session_st; /* OpenSSL's SSL_SESSION */
/*
 * host: of the endpoint. resume: of an earlier connection to it, or NULL; one of another endpoint is ignored.
 */
struct tls_session *tls_connect(struct tls_worker *worker, const struct tls_client_settings *settings,
				struct span host, struct ssl_session_st *resume);
void tls_session_free(struct tls_session *session);

/* Borrows `received` until tls_rest(), which returns the unused part. Take back the previous bytes first. */
void tls_feed(struct tls_session *session, struct span received);
struct span tls_rest(struct tls_session *session);
/* Ciphertext to send; the owner consumes it. */
struct buf *tls_output(struct tls_session *session);

/* 0: done; -EAGAIN: needs more input; -EPROTO: see tls_session_failure(). */
int tls_handshake(struct tls_session *session);
/* The handshake has just ended: the output holds only tickets, which no peer waits for. */
bool tls_output_can_wait(const struct tls_session *session);
/*
 * Returns bytes; 0: close_notify; -EAGAIN; -EPROTO. -EAGAIN with a tls_rest(): there were so many messages of
 * TLS itself that others should run first; feed the rest then.
 */
ssize_t tls_read(struct tls_session *session, void *memory, size_t size);
/* Bytes can be read without receiving more. */
bool tls_has_unread(const struct tls_session *session);
/* A record was received partly. */
bool tls_is_within_record(const struct tls_session *session);
/* 1: a byte can be read; 0: close_notify; or -errno as tls_read(). -EAGAIN: no received byte waits. */
ssize_t tls_peek(struct tls_session *session);
/* Encrypts all bytes. 0, -ENOMEM, -EPROTO. */
int tls_write(struct tls_session *session, struct span bytes);
/* Writes close_notify, once. */
void tls_close(struct tls_session *session);

enum tls_failure tls_session_failure(const struct tls_session *session);
/*
 * A sentence. For verification: what the peer presented and what was expected; otherwise the library's text.
 */
const char *tls_session_fault(const struct tls_session *session);

/* Negotiated parameters, after the handshake. Spans live as long as the session. */
struct span tls_alpn(const struct tls_session *session); /* empty: none */
const char *tls_version_text(const struct tls_session *session); /* "TLSv1.3" */
const char *tls_cipher_text(const struct tls_session *session);
bool tls_is_resumed(const struct tls_session *session);
/*
 * The peer's certificate, verified or not (TLS_CLIENT_UNVERIFIED). -ENOENT: none; -ENOMEM. *ret_is_verified
 * may be NULL.
 */
int tls_peer(const struct tls_session *session, struct arena *arena, struct tls_certificate *ret_certificate,
	     bool *ret_is_verified);
/* The same for its common name (tls_certificate_common_name()). */
int tls_peer_common_name(const struct tls_session *session, struct arena *arena, struct span *ret_name,
			 bool *ret_is_verified);
/* Client: called with each session that can be resumed; the callee owns the reference (SSL_SESSION_free). */
void tls_on_ticket(struct tls_session *session,
		   void (*on_ticket)(void *context, struct ssl_session_st *resume), void *context);
/* TLS 1.3: a ticket that is used twice lets observers link two connections of a client. */
bool tls_resume_is_single_use(const struct ssl_session_st *resume);
void tls_resume_free(struct ssl_session_st *resume);
