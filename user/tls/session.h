/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "user/base/buf.h"
#include "user/tls/context.h"

/*
 * One TLS connection, without its socket: ciphertext that was received goes in with tls_feed(), what is to be
 * sent is taken out of tls_output(). After every call that may have written something (handshake, read,
 * write, close) the owner sends it.
 */
struct tls_session;

enum tls_failure {
	TLS_FAIL_NONE,
	TLS_FAIL_PROTOCOL, /* malformed, or nothing in common */
	TLS_FAIL_VERIFY, /* the peer's certificate is not believed, or missing */
	TLS_FAIL_ALERT, /* the peer refused ours, or gave up */
	TLS_FAIL_MEMORY,
};

/* Whose names fit, one a kind of key at most: the library takes the one that the client can use. */
enum { TLS_IDENTITIES_MAX = 4 };

/* NULL: no memory. Settings are borrowed during the call, identities as well. */
struct tls_session *tls_accept(struct tls_worker *worker, const struct tls_server_settings *settings,
			       const struct tls_identity *const *identity_list, uint32_t identity_count);
struct ssl_session_st; /* OpenSSL's SSL_SESSION */
/* host: of the endpoint. resume: of an earlier connection to it, or NULL; one of another is left alone. */
struct tls_session *tls_connect(struct tls_worker *worker, const struct tls_client_settings *settings,
				struct span host, struct ssl_session_st *resume);
void tls_session_free(struct tls_session *session);

/* Borrowed until tls_rest() says what was not used of it. What was fed before has been given back. */
void tls_feed(struct tls_session *session, struct span received);
struct span tls_rest(struct tls_session *session);
/* Ciphertext to be sent; the owner consumes it. */
struct buf *tls_output(struct tls_session *session);

/* 0: done; -EAGAIN: more is to be received; -EPROTO: tls_session_failure() says which. */
int tls_handshake(struct tls_session *session);
/* The handshake has just ended: all that is in the output are tickets, which nobody waits for. */
bool tls_output_can_wait(const struct tls_session *session);
/*
 * Bytes; 0: close_notify; -EAGAIN; -EPROTO. -EAGAIN with a tls_rest(): there were so many messages of TLS
 * itself that it is somebody else's turn; feed the rest then.
 */
ssize_t tls_read(struct tls_session *session, void *memory, size_t size);
/* Bytes could be read without receiving more. */
bool tls_has_unread(const struct tls_session *session);
/* The beginning of a record was taken, the end of it was not received yet. */
bool tls_is_within_record(const struct tls_session *session);
/* Nothing that was received waits to be read: 1 as tls_read() would give a byte, 0 at the end, or -errno. */
ssize_t tls_peek(struct tls_session *session);
/* Takes all of it; 0, -ENOMEM, -EPROTO. */
int tls_write(struct tls_session *session, struct span bytes);
/* close_notify, once. */
void tls_close(struct tls_session *session);

enum tls_failure tls_session_failure(const struct tls_session *session);
/* A sentence: what was presented and what was wanted, for verification; of the library otherwise. */
const char *tls_session_fault(const struct tls_session *session);

/* What was agreed on; after the handshake. Spans live as long as the session. */
struct span tls_alpn(const struct tls_session *session); /* empty: none */
const char *tls_version_text(const struct tls_session *session); /* "TLSv1.3" */
const char *tls_cipher_text(const struct tls_session *session);
bool tls_is_resumed(const struct tls_session *session);
/*
 * The peer's certificate, verified or (TLS_CLIENT_UNVERIFIED) not. -ENOENT: none; -ENOMEM. *ret_is_verified
 * may be NULL.
 */
int tls_peer(const struct tls_session *session, struct arena *arena, struct tls_certificate *ret_certificate,
	     bool *ret_is_verified);
/* Client: called with each session that can be resumed; the callee takes the reference (SSL_SESSION_free). */
void tls_on_ticket(struct tls_session *session,
		   void (*on_ticket)(void *context, struct ssl_session_st *resume), void *context);
/* TLS 1.3: a ticket that is used twice tells the network that two connections are of one client. */
bool tls_resume_is_single_use(const struct ssl_session_st *resume);
void tls_resume_free(struct ssl_session_st *resume);
