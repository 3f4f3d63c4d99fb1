/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/session.h"

/*
 * Makes the header value that describes the client's certificate to a backend, in the form of Envoy's
 * x-forwarded-client-cert: Hash=<SHA-256>;Subject="<RFC 2253>";URI=<name>;DNS=<name>. The caller frees
 * *ret_text (hg_free() on its data); it is empty without a certificate, or if the certificate was not
 * verified. 0 or -ENOMEM.
 */
int client_xfcc_make(const struct tls_session *session, struct span *ret_text);
