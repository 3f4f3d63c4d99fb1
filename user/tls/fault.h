/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is wrong, as one sentence without a full stop; bytes of others in it are escaped. */
enum { TLS_FAULT_BYTES = 320 };
struct tls_fault {
	char text[TLS_FAULT_BYTES];
};

/* Bounded; a sentence that does not fit is cut. */
void tls_fault_set(struct tls_fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
