/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/tls/settings.h"
#include "user/tls/ticket_keys.h"

/*
 * What one worker makes from settings: an SSL_CTX for each hash, made when it is first needed. Sessions hold
 * references to what they use, so contexts may be forgotten at any time; the worker outlives its sessions.
 */
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct evp_cipher_st; /* EVP_CIPHER */
struct evp_md_st; /* EVP_MD */

enum { TLS_CONTEXT_BUCKETS = 64 };

/* All zero: not started; it may be forgotten and ended. */
struct tls_worker {
	struct list buckets[TLS_CONTEXT_BUCKETS];
	struct ticket_keys tickets;
	bool is_started; /* the first context was requested */
	bool has_tickets;
	uint64_t (*now_s)(void *context); /* clock of the tickets */
	void *now_context;
	/* Fetched once: each look-up in the library takes locks that all workers share. */
	struct evp_cipher_st *ticket_cipher;
	struct evp_md_st *sha256;
};

/*
 * secret: of the process, the same for all workers; the caller wipes it when all of them have it. now_s:
 * seconds since the start of the process. The library is not used before the first context. Returns 0 or
 * -errno.
 */
int tls_worker_init(struct tls_worker *worker, const uint8_t secret[TICKET_SECRET_BYTES],
		    uint64_t (*now_s)(void *context), void *now_context);
/* Overwrites ticket keys that are too old; call it regularly, also in an idle worker. */
void tls_worker_advance(struct tls_worker *worker);
/* Forgets all contexts, after a change of the configuration. */
void tls_worker_forget(struct tls_worker *worker);
void tls_worker_done(struct tls_worker *worker);
/* Borrowed until the next tls_worker_forget(). NULL without memory. */
struct ssl_ctx_st *tls_context_server(struct tls_worker *worker, const struct tls_server_settings *settings);
struct ssl_ctx_st *tls_context_client(struct tls_worker *worker, const struct tls_client_settings *settings);
