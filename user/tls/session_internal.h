/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ssl.h>

#include "user/tls/session.h"

/* The parts of a session that other files of this directory use. */

/* Stores the first failure only. NULL: there was one already, or no memory for the sentence. */
struct tls_fault *tls_session_refuse(struct tls_session *session, enum tls_failure failure);
/* Client: the host of the endpoint. */
struct span tls_session_host(const struct tls_session *session);
/* SSL_CTX_sess_set_new_cb. */
int tls_session_on_ticket(SSL *ssl, SSL_SESSION *resume);
/* Parses an address with or without brackets into 4 or 16 bytes; 0: it is none. */
int tls_address_parse(struct span host, unsigned char ret[16]);
/* Removes the trailing dot. */
struct span tls_host_trim(struct span host);
