/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ssl.h>

#include "user/base/span.h"
#include "user/tls/fault.h"

/*
 * SSL_CTX_set_cert_verify_callback: verifies the peer by the settings of its session. The fault of the
 * session gets the reason of a failure.
 */
int tls_verify_chain(X509_STORE_CTX *store, void *context);
/*
 * True if subjectAltName has this DNS name (a wildcard in the certificate matches one whole label), address
 * or URI.
 */
bool tls_certificate_is_for(X509 *x509, struct span name);
