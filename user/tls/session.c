/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "user/base/mem.h"
#include "user/tls/parts.h"
#include "user/tls/session_internal.h"

enum {
	RECORD_BYTES = 16 * 1024, /* of plaintext */
	RECORD_MORE_BYTES = 64, /* header, padding and tag of one record */
	HOST_MAX_BYTES = 255,
	/*
	 * Bytes that the library may consume in one tls_feed() without returning plaintext: a little more
	 * than the largest record. Otherwise it would process KeyUpdates within one call for as long as there
	 * are any.
	 */
	SPARE_BYTES = 20 * 1024,
};

struct tls_session {
	SSL *ssl; /* owner; its BIO is the session's */
	struct span in; /* not yet consumed by the library */
	size_t spare; /* bytes of it that may be consumed */
	struct buf out;
	struct tls_fault *fault; /* owner; NULL: none, or no memory */
	char *host; /* owner */
	void (*on_ticket)(void *context, struct ssl_session_st *resume);
	void *ticket_context;
	enum tls_failure failure;
	bool is_closed; /* close_notify was written */
	bool was_fed;
	bool is_http_response; /* the library reports it as a record of a wrong version */
};

/* ---- bytes in and out of memory ---- */

static BIO_METHOD *memory_method;

static int memory_read(BIO *bio, char *to, size_t size, size_t *ret_len)
{
	struct tls_session *session = BIO_get_data(bio);
	size_t len = size < session->in.len ? size : session->in.len;

	if (len > session->spare)
		len = session->spare;
	BIO_clear_retry_flags(bio);
	if (len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(to, session->in.data, len);
	session->in = span_from(session->in, len);
	session->spare -= len;
	*ret_len = len;
	return 1;
}

static int memory_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
	struct tls_session *session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (buf_append(&session->out, span_of(from, len), BUF_MAX_BYTES)) {
		tls_session_refuse(session, TLS_FAIL_MEMORY);
		return 0;
	}
	*ret_len = len;
	return 1;
}

static long memory_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int memory_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static void memory_method_make(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory of a session");

	if (method && BIO_meth_set_read_ex(method, memory_read) &&
	    BIO_meth_set_write_ex(method, memory_write) && BIO_meth_set_ctrl(method, memory_ctrl) &&
	    BIO_meth_set_create(method, memory_create))
		memory_method = method;
	else
		BIO_meth_free(method);
}

/* ---- addresses and names ---- */

int tls_address_parse(struct span host, unsigned char ret[16])
{
	char text[INET6_ADDRSTRLEN];

	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_of(host.data + 1, host.len - 2);
	if (host.len == 0 || host.len >= sizeof(text))
		return 0;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	if (strlen(text) != host.len)
		return 0;
	if (inet_pton(AF_INET, text, ret) == 1)
		return 4;
	return inet_pton(AF_INET6, text, ret) == 1 ? 16 : 0;
}

struct span tls_host_trim(struct span host)
{
	return span_ends(host, SPAN(".")) ? span_first(host, host.len - 1) : host;
}

struct span tls_session_host(const struct tls_session *session)
{
	return span_str(session->host);
}

/* ---- life ---- */

static struct tls_session *session_new(SSL_CTX *ctx)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_session *session;
	BIO *bio;

	pthread_once(&once, memory_method_make);
	ERR_clear_error();
	session = ctx && memory_method ? hg_calloc(1, sizeof(*session)) : NULL;
	if (!session)
		return NULL;
	buf_init(&session->out);
	session->ssl = SSL_new(ctx);
	bio = session->ssl ? BIO_new(memory_method) : NULL;
	if (!bio) {
		tls_session_free(session);
		return NULL;
	}
	BIO_set_data(bio, session);
	SSL_set_bio(session->ssl, bio, bio);
	if (!SSL_set_app_data(session->ssl, session)) {
		tls_session_free(session);
		return NULL;
	}
	return session;
}

/*
 * Who may resume a session: for a server, one of the same scope and settings (which include the demands on
 * clients); for a client, one of the same settings and host.
 */
static bool set_owner(struct tls_session *session, struct span scope, unsigned char ret[EVP_MAX_MD_SIZE])
{
	const struct tls_shared *shared = tls_shared_of(session->ssl);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned int len = 0;
	bool is_valid;

	is_valid = md && EVP_DigestInit_ex(md, shared->worker->sha256, NULL) &&
		   EVP_DigestUpdate(md, &shared->hash, sizeof(shared->hash)) &&
		   (scope.len == 0 || EVP_DigestUpdate(md, scope.data, scope.len)) &&
		   EVP_DigestFinal_ex(md, ret, &len);
	EVP_MD_CTX_free(md);
	return is_valid && SSL_set_session_id_context(session->ssl, ret, len);
}

struct tls_session *tls_accept(struct tls_worker *worker, const struct tls_server_settings *settings,
			       const struct tls_identity *const *identity_list, uint32_t identity_count)
{
	struct tls_session *session = session_new(tls_context_server(worker, settings));
	unsigned char owner[EVP_MAX_MD_SIZE];
	bool is_valid = session && set_owner(session, settings->scope, owner);

	for (uint32_t i = 0; is_valid && i < identity_count && i < TLS_IDENTITIES_MAX; i++) {
		const struct tls_identity_parts *parts = identity_list[i]->parts;

		is_valid = SSL_use_cert_and_key(session->ssl, parts->x509, parts->key, parts->chain, 1);
	}
	if (!is_valid) {
		tls_session_free(session);
		return NULL;
	}
	SSL_set_accept_state(session->ssl);
	return session;
}

/* Sends a name; an address is not sent (RFC 6066 3). */
static bool set_server_name(struct tls_session *session)
{
	const struct tls_shared *shared = tls_shared_of(session->ssl);
	struct span name = tls_host_trim(shared->hostname.len ? shared->hostname : tls_session_host(session));
	char text[HOST_MAX_BYTES + 1];
	unsigned char address[16];

	if (name.len == 0 || name.len > HOST_MAX_BYTES || tls_address_parse(name, address))
		return true;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return SSL_set_tlsext_host_name(session->ssl, text);
}

/* Ignores a session of another owner, or one whose certificate has expired: full handshake. */
static bool set_resume(struct tls_session *session, SSL_SESSION *resume, const unsigned char *owner)
{
	X509 *peer = resume ? SSL_SESSION_get0_peer(resume) : NULL;
	const unsigned char *resume_owner;
	unsigned int len = 0;

	resume_owner = resume ? SSL_SESSION_get0_id_context(resume, &len) : NULL;
	if (len != SHA256_DIGEST_LENGTH || memcmp(resume_owner, owner, len) != 0)
		return true;
	if (peer && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0)
		return true;
	return SSL_set_session(session->ssl, resume);
}

struct tls_session *tls_connect(struct tls_worker *worker, const struct tls_client_settings *settings,
				struct span host, struct ssl_session_st *resume)
{
	struct tls_session *session = session_new(tls_context_client(worker, settings));
	unsigned char owner[EVP_MAX_MD_SIZE];
	bool is_valid = session != NULL;

	if (is_valid) {
		session->host = hg_strndup(host.data, host.len);
		is_valid = session->host && set_owner(session, host, owner) && set_server_name(session) &&
			   set_resume(session, resume, owner);
	}
	if (!is_valid) {
		tls_session_free(session);
		return NULL;
	}
	SSL_set_connect_state(session->ssl);
	return session;
}

void tls_session_free(struct tls_session *session)
{
	if (!session)
		return;
	/*
	 * A session whose connection was cut may be resumed (RFC 8446 6.1), contrary to the library's
	 * default.
	 */
	if (session->ssl && session->failure == TLS_FAIL_NONE)
		SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(session->ssl);
	buf_done(&session->out);
	hg_free(session->fault);
	hg_free(session->host);
	hg_free(session);
}

void tls_feed(struct tls_session *session, struct span received)
{
	CHECK(session->in.len == 0);
	if (!session->was_fed)
		session->is_http_response = span_starts(received, SPAN("HTTP/"));
	session->was_fed = true;
	session->in = received;
	session->spare = SPARE_BYTES;
}

struct span tls_rest(struct tls_session *session)
{
	struct span rest = session->in;

	session->in = (struct span){ 0 };
	return rest;
}

struct buf *tls_output(struct tls_session *session)
{
	return &session->out;
}

/* ---- failures ---- */

struct tls_fault *tls_session_refuse(struct tls_session *session, enum tls_failure failure)
{
	if (session->failure != TLS_FAIL_NONE)
		return NULL;
	session->failure = failure;
	session->fault = failure == TLS_FAIL_MEMORY ? NULL : hg_calloc(1, sizeof(*session->fault));
	return session->fault;
}

static void refuse(struct tls_session *session, enum tls_failure failure, const char *sentence)
{
	struct tls_fault *fault = tls_session_refuse(session, failure);

	if (fault)
		tls_fault_set(fault, "%s", sentence);
}

/* The library has no texts for the alerts of TLS 1.3. */
static const char *alert_text(int alert)
{
	switch (alert) {
	case SSL3_AD_CLOSE_NOTIFY:
		return "close notify";
	case TLS13_AD_MISSING_EXTENSION:
		return "missing extension";
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

static void refuse_alert(struct tls_session *session, int alert)
{
	struct tls_fault *fault = tls_session_refuse(session, TLS_FAIL_ALERT);

	if (fault)
		tls_fault_set(fault, "the peer refused: %s (alert %d)", alert_text(alert), alert);
}

static const struct {
	int reason;
	enum tls_failure failure;
	const char *sentence;
} REASONS[] = {
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAIL_VERIFY, "the client showed no certificate" },
	{ SSL_R_CERTIFICATE_VERIFY_FAILED, TLS_FAIL_VERIFY, "the peer's certificate is not trusted" },
	{ SSL_R_HTTP_REQUEST, TLS_FAIL_PROTOCOL, "the client speaks HTTP without TLS" },
	{ SSL_R_HTTPS_PROXY_REQUEST, TLS_FAIL_PROTOCOL, "the client speaks HTTP without TLS" },
	{ SSL_R_NO_SHARED_CIPHER, TLS_FAIL_PROTOCOL, "no cipher and certificate that both sides can use" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAIL_PROTOCOL, "no TLS version that both sides can use" },
	{ SSL_R_WRONG_VERSION_NUMBER, TLS_FAIL_PROTOCOL,
	  "the peer does not speak TLS (wrong version number)" },
	{ SSL_R_NO_APPLICATION_PROTOCOL, TLS_FAIL_PROTOCOL,
	  "no application protocol (ALPN) that both sides can use" },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, TLS_FAIL_PROTOCOL, "no key exchange group that both sides can use" },
};

static void refuse_reason(struct tls_session *session, unsigned long code)
{
	int reason = ERR_GET_REASON(code);
	struct tls_fault *fault;

	if (reason == ERR_R_MALLOC_FAILURE) {
		tls_session_refuse(session, TLS_FAIL_MEMORY);
		return;
	}
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET) {
		refuse_alert(session, reason - SSL_AD_REASON_OFFSET);
		return;
	}
	if (session->is_http_response) {
		refuse(session, TLS_FAIL_PROTOCOL, "the peer answers in plain HTTP, without TLS");
		return;
	}
	for (size_t i = 0; ERR_GET_LIB(code) == ERR_LIB_SSL && i < ARRAY_LEN(REASONS); i++) {
		if (REASONS[i].reason == reason) {
			refuse(session, REASONS[i].failure, REASONS[i].sentence);
			return;
		}
	}
	fault = tls_session_refuse(session, TLS_FAIL_PROTOCOL);
	if (fault && ERR_reason_error_string(code))
		tls_fault_set(fault, "%s", ERR_reason_error_string(code));
	else if (fault)
		tls_fault_set(fault, "error %lx of the TLS library", code);
}

/* Translates the result of a failed call: -EAGAIN, or -EPROTO with the failure stored. */
static int session_result(struct tls_session *session, int result)
{
	int error = SSL_get_error(session->ssl, result);

	if (session->failure == TLS_FAIL_NONE &&
	    (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE))
		return -EAGAIN;
	refuse_reason(session, ERR_peek_error());
	ERR_clear_error();
	return -EPROTO;
}

enum tls_failure tls_session_failure(const struct tls_session *session)
{
	return session->failure;
}

const char *tls_session_fault(const struct tls_session *session)
{
	if (session->failure == TLS_FAIL_NONE)
		return "";
	return session->fault ? session->fault->text : "no memory";
}

/* ---- steps ---- */

int tls_handshake(struct tls_session *session)
{
	int result;

	if (session->failure != TLS_FAIL_NONE)
		return -EPROTO;
	ERR_clear_error();
	/* The library limits the size and number of handshake messages. */
	session->spare = session->in.len;
	result = SSL_do_handshake(session->ssl);
	return result == 1 ? 0 : session_result(session, result);
}

bool tls_output_can_wait(const struct tls_session *session)
{
	return SSL_is_server(session->ssl) && SSL_version(session->ssl) == TLS1_3_VERSION;
}

static ssize_t read_some(struct tls_session *session, void *memory, size_t size, bool is_peek)
{
	size_t len = 0;
	int result;

	if (session->failure != TLS_FAIL_NONE)
		return -EPROTO;
	if (SSL_get_shutdown(session->ssl) & SSL_RECEIVED_SHUTDOWN)
		return 0;
	if (session->in.len == 0 && SSL_pending(session->ssl) == 0)
		return -EAGAIN;
	ERR_clear_error();
	result = is_peek ? SSL_peek_ex(session->ssl, memory, size, &len)
			 : SSL_read_ex(session->ssl, memory, size, &len);
	if (result == 1) {
		session->spare += len;
		return (ssize_t)len;
	}
	/* A fatal alert sets SSL_RECEIVED_SHUTDOWN, too. */
	if (SSL_get_error(session->ssl, result) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return session_result(session, result);
}

ssize_t tls_read(struct tls_session *session, void *memory, size_t size)
{
	size_t len = 0;
	ssize_t more = 0;

	/* The library returns one record at a time. The next call returns the reason why this one stopped. */
	while (len < size) {
		more = read_some(session, (char *)memory + len, size - len, false);
		if (more <= 0)
			break;
		len += (size_t)more;
	}
	return len ? (ssize_t)len : more;
}

bool tls_has_unread(const struct tls_session *session)
{
	return session->in.len > 0 || SSL_pending(session->ssl) > 0;
}

bool tls_is_within_record(const struct tls_session *session)
{
	/*
	 * Nothing is pending in the library after exactly the header of a record; its state is not "RH" then.
	 */
	return SSL_has_pending(session->ssl) || strcmp(SSL_rstate_string(session->ssl), "RH");
}

ssize_t tls_peek(struct tls_session *session)
{
	char byte;

	return read_some(session, &byte, 1, true);
}

int tls_write(struct tls_session *session, struct span bytes)
{
	size_t records = bytes.len / RECORD_BYTES + 1;
	size_t len;
	int result;

	if (session->failure != TLS_FAIL_NONE)
		return -EPROTO;
	if (bytes.len == 0)
		return 0;
	if (buf_reserve(&session->out, bytes.len + records * RECORD_MORE_BYTES, BUF_MAX_BYTES))
		return -ENOMEM;
	ERR_clear_error();
	result = SSL_write_ex(session->ssl, bytes.data, bytes.len, &len);
	if (result == 1)
		return 0;
	/* The library has written part of the record and cannot undo that. */
	session_result(session, result);
	tls_session_refuse(session, TLS_FAIL_PROTOCOL);
	return session->failure == TLS_FAIL_MEMORY ? -ENOMEM : -EPROTO;
}

void tls_close(struct tls_session *session)
{
	if (session->is_closed || session->failure != TLS_FAIL_NONE || !SSL_is_init_finished(session->ssl))
		return;
	session->is_closed = true;
	ERR_clear_error();
	SSL_shutdown(session->ssl);
	ERR_clear_error();
}

/* ---- negotiated parameters ---- */

struct span tls_alpn(const struct tls_session *session)
{
	const unsigned char *data;
	unsigned int len;

	SSL_get0_alpn_selected(session->ssl, &data, &len);
	return span_of(data, len);
}

const char *tls_version_text(const struct tls_session *session)
{
	return SSL_get_version(session->ssl);
}

const char *tls_cipher_text(const struct tls_session *session)
{
	return SSL_get_cipher_name(session->ssl);
}

bool tls_is_resumed(const struct tls_session *session)
{
	return SSL_session_reused(session->ssl) == 1;
}

int tls_peer(const struct tls_session *session, struct arena *arena, struct tls_certificate *ret_certificate,
	     bool *ret_is_verified)
{
	X509 *x509 = SSL_get0_peer_certificate(session->ssl);

	if (ret_is_verified)
		*ret_is_verified = x509 && SSL_get_verify_result(session->ssl) == X509_V_OK;
	return x509 ? tls_certificate_describe(x509, arena, ret_certificate) : -ENOENT;
}

int tls_peer_common_name(const struct tls_session *session, struct arena *arena, struct span *ret_name,
			 bool *ret_is_verified)
{
	X509 *x509 = SSL_get0_peer_certificate(session->ssl);

	*ret_is_verified = x509 && SSL_get_verify_result(session->ssl) == X509_V_OK;
	return x509 ? tls_certificate_common_name(x509, arena, ret_name) : -ENOENT;
}

/* ---- resumption ---- */

int tls_session_on_ticket(SSL *ssl, SSL_SESSION *resume)
{
	struct tls_session *session = SSL_get_app_data(ssl);

	if (!session->on_ticket || !SSL_SESSION_is_resumable(resume))
		return 0;
	session->on_ticket(session->ticket_context, resume);
	return 1;
}

void tls_on_ticket(struct tls_session *session,
		   void (*on_ticket)(void *context, struct ssl_session_st *resume), void *context)
{
	session->on_ticket = on_ticket;
	session->ticket_context = context;
}

bool tls_resume_is_single_use(const struct ssl_session_st *resume)
{
	return SSL_SESSION_get_protocol_version(resume) >= TLS1_3_VERSION;
}

void tls_resume_free(struct ssl_session_st *resume)
{
	SSL_SESSION_free(resume);
}
