/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ssl.h>

#include "user/base/span.h"
#include "user/tls/fault.h"

/*
 * SSL_CTX_set_cert_verify_callback: is the peer believed, by the settings of its session? What is wrong is
 * said in the fault of the session.
 */
int tls_verify_chain(X509_STORE_CTX *store, void *context);
/* A DNS name (wildcards of the certificate stand for a whole label), an address or a URI; of subjectAltName
 * only. */
bool tls_certificate_is_for(X509 *x509, struct span name);
