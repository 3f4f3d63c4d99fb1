/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is wrong, as one sentence without a full stop; foreign bytes in it are escaped. */
enum { TLS_FAULT_BYTES = 320 };
struct tls_fault {
	char text[TLS_FAULT_BYTES];
};

/* A sentence that does not fit is truncated. */
void tls_fault_set(struct tls_fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
