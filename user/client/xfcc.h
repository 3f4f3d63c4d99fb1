/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/tls/session.h"

/*
 * What a backend is told of the certificate that the client showed, in the form of Envoy's
 * x-forwarded-client-cert: Hash=<SHA-256>;Subject="<RFC 2253>";URI=<name>;DNS=<name>. *ret_text is the
 * caller's (hg_free() its data); empty when there was no certificate, or one that nobody verified. 0 or
 * -ENOMEM.
 */
int client_xfcc_make(const struct tls_session *session, struct span *ret_text);
