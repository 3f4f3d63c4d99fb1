/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/tls/settings.h"
#include "user/tls/ticket_keys.h"

/*
 * What one worker makes of settings: an SSL_CTX for each hash, made when it is first needed. Sessions hold
 * what they use, so it may be forgotten at any time; the worker itself outlives its sessions.
 */
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct evp_cipher_st; /* EVP_CIPHER */
struct evp_md_st; /* EVP_MD */

enum { TLS_CONTEXT_BUCKETS = 64 };

/* All zero: none yet, which may be forgotten and ended. */
struct tls_worker {
	struct list buckets[TLS_CONTEXT_BUCKETS];
	struct ticket_keys tickets;
	bool is_started; /* the first context was asked for */
	bool has_tickets;
	uint64_t (*now_s)(void *context); /* of the tickets */
	void *now_context;
	/* Fetched once: each look-up of the library's takes locks that all workers share. */
	struct evp_cipher_st *ticket_cipher;
	struct evp_md_st *sha256;
};

/*
 * secret: of the process, the same for all workers; the caller wipes it when all have it. now_s: since the
 * start of the process. The library is not touched before the first context. 0 or -errno.
 */
int tls_worker_init(struct tls_worker *worker, const uint8_t secret[TICKET_SECRET_BYTES],
		    uint64_t (*now_s)(void *context), void *now_context);
/* The time has passed: keys that are too old are overwritten, also in a worker that nobody comes to. */
void tls_worker_advance(struct tls_worker *worker);
/* Forgets all contexts: the configuration has changed. */
void tls_worker_forget(struct tls_worker *worker);
void tls_worker_done(struct tls_worker *worker);
/* Borrowed until the next tls_worker_forget(). NULL: no memory. */
struct ssl_ctx_st *tls_context_server(struct tls_worker *worker, const struct tls_server_settings *settings);
struct ssl_ctx_st *tls_context_client(struct tls_worker *worker, const struct tls_client_settings *settings);
