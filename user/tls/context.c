/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/context.h"

#include <errno.h>
#include <pthread.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "user/base/mem.h"
#include "user/tls/parts.h"
#include "user/tls/session_internal.h"
#include "user/tls/verify.h"

/*
 * AES-128 first: as strong as the rest of a handshake, and the fastest with AES instructions. A client
 * without them prefers ChaCha20 and gets it (SSL_OP_PRIORITIZE_CHACHA).
 */
#define DEFAULT_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* Forward secrecy and authenticated encryption only. */
#define DEFAULT_CIPHERS                                                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"           \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
/*
 * The library's default list includes finite fields of 8192 bits, which would let a client make us compute a
 * lot.
 */
#define DEFAULT_GROUPS "X25519:P-256:P-384"
#define DEFAULT_GROUPS_HYBRID "X25519MLKEM768:" DEFAULT_GROUPS

struct tls_context {
	struct list node;
	uint64_t hash;
	bool is_client;
	SSL_CTX *ctx;
};

/* ---- what the sessions of a context share ---- */

static int shared_index = -1;

static void shared_free(void *parent, void *memory, CRYPTO_EX_DATA *data, int index, long number,
			void *pointer)
{
	struct tls_shared *shared = memory;

	(void)parent, (void)data, (void)index, (void)number, (void)pointer;
	if (!shared)
		return;
	arena_done(&shared->arena);
	hg_free(shared);
}

static void shared_index_make(void)
{
	shared_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, shared_free);
}

static struct tls_shared *shared_of(const SSL_CTX *ctx)
{
	return SSL_CTX_get_ex_data(ctx, shared_index);
}

struct tls_shared *tls_shared_of(const SSL *ssl)
{
	return shared_of(SSL_get_SSL_CTX(ssl));
}

static struct tls_shared *shared_add(SSL_CTX *ctx, struct tls_worker *worker)
{
	struct tls_shared *shared = shared_index < 0 ? NULL : hg_calloc(1, sizeof(*shared));

	if (!shared)
		return NULL;
	shared->worker = worker;
	arena_init(&shared->arena, 512);
	if (!SSL_CTX_set_ex_data(ctx, shared_index, shared)) {
		hg_free(shared);
		return NULL;
	}
	return shared;
}

static bool shared_text(struct tls_shared *shared, struct span from, struct span *ret)
{
	if (from.len == 0)
		return true;
	*ret = arena_copy(&shared->arena, from);
	return ret->data != NULL;
}

/* ---- tickets ---- */

static bool ticket_keys_ready(struct tls_worker *worker)
{
	return ticket_keys_advance(&worker->tickets, worker->now_s(worker->now_context)) == 0;
}

static bool ticket_start(const struct tls_worker *worker, const struct ticket_key *key,
			 const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool is_written)
{
	static char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string("key", (void *)key->mac_key, sizeof(key->mac_key)),
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CIPHER_CTX_reset(cipher) && EVP_MAC_CTX_set_params(mac, params) &&
	       EVP_CipherInit_ex2(cipher, worker->ticket_cipher, key->cipher_key, iv, is_written, NULL);
}

/*
 * SSL_CTX_set_tlsext_ticket_key_evp_cb: 1: continue, 2: and issue a new ticket, 0: unknown ticket, -1: abort.
 */
static int on_ticket_key(SSL *ssl, unsigned char name[TICKET_NAME_BYTES], unsigned char *iv,
			 EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_written)
{
	struct tls_worker *worker = tls_shared_of(ssl)->worker;
	const struct ticket_key *key = &worker->tickets.current;
	bool is_old;

	if (!ticket_keys_ready(worker))
		return is_written ? -1 : 0;
	if (is_written) {
		memcpy(name, key->name, TICKET_NAME_BYTES);
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
		return ticket_start(worker, key, iv, cipher, mac, true) ? 1 : -1;
	}
	key = ticket_keys_find(&worker->tickets, name, &is_old);
	if (!key)
		return 0;
	if (!ticket_start(worker, key, iv, cipher, mac, false))
		return -1;
	/* TLS 1.3: each ticket is used once, so that observers cannot link two connections of a client. */
	return is_old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

/* A peer certificate that has expired since is not trusted any more. */
static SSL_TICKET_RETURN on_ticket_read(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
					size_t name_len, SSL_TICKET_STATUS status, void *context)
{
	X509 *peer = session ? SSL_SESSION_get0_peer(session) : NULL;

	(void)ssl, (void)name, (void)name_len, (void)context;
	switch (status) {
	case SSL_TICKET_EMPTY:
	case SSL_TICKET_NO_DECRYPT:
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	case SSL_TICKET_SUCCESS:
	case SSL_TICKET_SUCCESS_RENEW:
		if (peer && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0)
			return SSL_TICKET_RETURN_IGNORE_RENEW;
		return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
	default:
		return SSL_TICKET_RETURN_ABORT;
	}
}

static int on_ticket_write(SSL *ssl, void *context)
{
	(void)ssl, (void)context;
	return 1;
}

/* ---- protocols ---- */

/* Selects the first of our protocols that the client offers, too. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offer,
		   unsigned int offer_len, void *context)
{
	const struct tls_shared *shared = context;
	const unsigned char *ours = (const unsigned char *)shared->alpn.data;

	(void)ssl;
	for (size_t i = 0; i < shared->alpn.len; i += 1u + ours[i]) {
		for (size_t j = 0; j < offer_len; j += 1u + offer[j]) {
			if (ours[i] != offer[j] || memcmp(ours + i + 1, offer + j + 1, ours[i]) != 0)
				continue;
			*ret = ours + i + 1;
			*ret_len = ours[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- contexts ---- */

static bool set_lists(SSL_CTX *ctx, const struct tls_params *params)
{
	bool is_valid =
		SSL_CTX_set_cipher_list(ctx, params->ciphers.len ? params->ciphers.data : DEFAULT_CIPHERS) &&
		SSL_CTX_set_ciphersuites(ctx, params->suites.len ? params->suites.data : DEFAULT_SUITES);

	/* Finite-field key exchange only if ciphers are configured. */
	if (params->ciphers.len)
		SSL_CTX_set_dh_auto(ctx, 1);
	if (params->groups.len)
		return is_valid && SSL_CTX_set1_groups_list(ctx, params->groups.data);
	return is_valid && (SSL_CTX_set1_groups_list(ctx, DEFAULT_GROUPS_HYBRID) ||
			    SSL_CTX_set1_groups_list(ctx, DEFAULT_GROUPS));
}

/* Invariants 3 and 5 of the README. */
static bool context_base(SSL_CTX *ctx, const struct tls_params *params)
{
	int min, max;

	if (!tls_params_versions(params, &min, &max) || !SSL_CTX_set_min_proto_version(ctx, min) ||
	    !SSL_CTX_set_max_proto_version(ctx, max))
		return false;
	SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
	SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
					 SSL_OP_ENABLE_MIDDLEBOX_COMPAT | SSL_OP_NO_SSLv2 | SSL_OP_NO_SSLv3 |
					 SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1);
	SSL_CTX_clear_mode(ctx, SSL_CTX_get_mode(ctx));
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_AUTO_RETRY | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_recv_max_early_data(ctx, 0);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, TLS_PEER_CHAIN_BYTES);
	return set_lists(ctx, params);
}

static bool set_trust(SSL_CTX *ctx, const struct tls_trust *trust)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	int count = trust ? sk_X509_num(trust->parts->list) : 0;

	for (int i = 0; i < count; i++)
		if (!X509_STORE_add_cert(store, sk_X509_value(trust->parts->list, i)))
			return false;
	/* A configured certificate is trusted, whether it is a root or not. */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	SSL_CTX_set_verify_depth(ctx, TLS_DEPTH_MAX);
	SSL_CTX_set_cert_verify_callback(ctx, tls_verify_chain, NULL);
	return true;
}

/* The names of the authorities, a hint for clients with several certificates. */
static bool set_wanted_names(SSL_CTX *ctx, const struct tls_trust *trust)
{
	int count = trust && !trust->is_system ? sk_X509_num(trust->parts->list) : 0;

	for (int i = 0; i < count; i++)
		if (!SSL_CTX_add_client_CA(ctx, sk_X509_value(trust->parts->list, i)))
			return false;
	return true;
}

static bool set_client_auth(SSL_CTX *ctx, const struct tls_server_settings *settings)
{
	if (settings->client_auth == TLS_CLIENT_NOT_ASKED)
		return true;
	SSL_CTX_set_verify(ctx,
			   settings->client_auth == TLS_CLIENT_REQUIRED
				   ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
				   : SSL_VERIFY_PEER,
			   NULL);
	return set_trust(ctx, settings->client_trust) && set_wanted_names(ctx, settings->client_trust);
}

static bool set_tickets(SSL_CTX *ctx, const struct tls_worker *worker)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (!worker->has_tickets) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(ctx, 0);
	}
	/* A key exists for one period after its own, so no ticket lives longer. */
	SSL_CTX_set_timeout(ctx, TICKET_PERIOD_S);
	return SSL_CTX_set_num_tickets(ctx, 1) && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key) &&
	       SSL_CTX_set_session_ticket_cb(ctx, on_ticket_write, on_ticket_read, NULL);
}

static bool fill_server(SSL_CTX *ctx, struct tls_worker *worker, const struct tls_server_settings *settings)
{
	struct tls_shared *shared = shared_add(ctx, worker);

	if (!shared || !shared_text(shared, settings->params.alpn, &shared->alpn))
		return false;
	shared->hash = settings->hash;
	shared->client_auth = settings->client_auth;
	if (shared->alpn.len)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, shared);
	return context_base(ctx, &settings->params) && set_client_auth(ctx, settings) &&
	       set_tickets(ctx, worker);
}

static bool set_identity(SSL_CTX *ctx, const struct tls_identity *identity)
{
	return !identity || SSL_CTX_use_cert_and_key(ctx, identity->parts->x509, identity->parts->key,
						     identity->parts->chain, 1);
}

static bool set_names(struct tls_shared *shared, const struct tls_client_settings *settings)
{
	shared->name_list = arena_take(&shared->arena, settings->name_count * sizeof(*shared->name_list) + 1);
	if (!shared->name_list || !shared_text(shared, settings->hostname, &shared->hostname))
		return false;
	shared->name_count = settings->name_count;
	for (uint32_t i = 0; i < settings->name_count; i++)
		if (!shared_text(shared, settings->name_list[i], &shared->name_list[i]))
			return false;
	return true;
}

static bool fill_client(SSL_CTX *ctx, struct tls_worker *worker, const struct tls_client_settings *settings)
{
	struct tls_shared *shared = shared_add(ctx, worker);
	struct span alpn = settings->params.alpn;

	if (!shared || !set_names(shared, settings))
		return false;
	shared->is_client = true;
	shared->hash = settings->hash;
	shared->verify = settings->verify;
	SSL_CTX_set_verify(ctx, settings->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
			   NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, tls_session_on_ticket);
	if (alpn.len &&
	    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)alpn.data, (unsigned int)alpn.len) != 0)
		return false;
	return context_base(ctx, &settings->params) && set_trust(ctx, settings->trust) &&
	       set_identity(ctx, settings->identity);
}

static void context_free(struct tls_context *context)
{
	list_remove(&context->node);
	SSL_CTX_free(context->ctx);
	hg_free(context);
}

/* ---- the worker ---- */

int tls_worker_init(struct tls_worker *worker, const uint8_t secret[TICKET_SECRET_BYTES],
		    uint64_t (*now_s)(void *context), void *now_context)
{
	*worker = (struct tls_worker){ .now_s = now_s, .now_context = now_context };
	memcpy(worker->tickets.secret, secret, TICKET_SECRET_BYTES);
	return 0;
}

static bool worker_start(struct tls_worker *worker)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint8_t secret[TICKET_SECRET_BYTES];

	if (worker->is_started)
		return true;
	pthread_once(&once, shared_index_make);
	if (!worker->ticket_cipher)
		worker->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!worker->sha256)
		worker->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!worker->ticket_cipher || !worker->sha256)
		return false;
	memcpy(secret, worker->tickets.secret, sizeof(secret));
	worker->has_tickets =
		ticket_keys_init(&worker->tickets, secret, worker->now_s(worker->now_context)) == 0;
	tls_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < TLS_CONTEXT_BUCKETS; i++)
		list_init(&worker->buckets[i]);
	worker->is_started = true;
	return true;
}

void tls_worker_advance(struct tls_worker *worker)
{
	/* A process without TLS initializes the library only after the first period. */
	if (worker->now_s(worker->now_context) >= TICKET_PERIOD_S && worker_start(worker))
		ticket_keys_ready(worker);
}

void tls_worker_forget(struct tls_worker *worker)
{
	for (size_t i = 0; i < TLS_CONTEXT_BUCKETS && worker->is_started; i++)
		list_each(node, next, &worker->buckets[i])
			context_free(list_entry(node, struct tls_context, node));
}

void tls_worker_done(struct tls_worker *worker)
{
	tls_worker_forget(worker);
	ticket_keys_wipe(&worker->tickets);
	EVP_CIPHER_free(worker->ticket_cipher);
	EVP_MD_free(worker->sha256);
	*worker = (struct tls_worker){ 0 };
}

static struct tls_context *context_find(const struct tls_worker *worker, uint64_t hash, bool is_client)
{
	const struct list *bucket = &worker->buckets[hash % TLS_CONTEXT_BUCKETS];

	for (struct list *node = bucket->next; node != bucket; node = node->next) {
		struct tls_context *context = list_entry(node, struct tls_context, node);

		if (context->hash == hash && context->is_client == is_client)
			return context;
	}
	return NULL;
}

static struct tls_context *context_new(uint64_t hash, bool is_client)
{
	struct tls_context *context = hg_calloc(1, sizeof(*context));

	if (!context)
		return NULL;
	list_init(&context->node);
	context->hash = hash;
	context->is_client = is_client;
	context->ctx = SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method());
	if (context->ctx)
		return context;
	hg_free(context);
	return NULL;
}

/* Adds a complete context to its bucket; frees an incomplete one. */
static SSL_CTX *context_keep(struct tls_worker *worker, struct tls_context *context, bool is_valid)
{
	ERR_clear_error();
	if (!is_valid) {
		context_free(context);
		return NULL;
	}
	list_add_tail(&worker->buckets[context->hash % TLS_CONTEXT_BUCKETS], &context->node);
	return context->ctx;
}

struct ssl_ctx_st *tls_context_server(struct tls_worker *worker, const struct tls_server_settings *settings)
{
	struct tls_context *context;

	CHECK(settings->hash != 0);
	if (!worker_start(worker))
		return NULL;
	context = context_find(worker, settings->hash, false);
	if (context)
		return context->ctx;
	context = context_new(settings->hash, false);
	return context ? context_keep(worker, context, fill_server(context->ctx, worker, settings)) : NULL;
}

struct ssl_ctx_st *tls_context_client(struct tls_worker *worker, const struct tls_client_settings *settings)
{
	struct tls_context *context;

	CHECK(settings->hash != 0);
	if (!worker_start(worker))
		return NULL;
	context = context_find(worker, settings->hash, true);
	if (context)
		return context->ctx;
	context = context_new(settings->hash, true);
	return context ? context_keep(worker, context, fill_client(context->ctx, worker, settings)) : NULL;
}
