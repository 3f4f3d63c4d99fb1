/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tls_fault_set(struct tls_fault *fault, const char *format, ...)
{
	static const char digits[] = "0123456789abcdef";
	char text[TLS_FAULT_BYTES * 2];
	size_t len = 0;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (const unsigned char *c = (const unsigned char *)text; *c && len + 5 <= sizeof(fault->text);
	     c++) {
		if (*c >= 0x20 && *c <= 0x7e) {
			fault->text[len++] = (char)*c;
			continue;
		}
		memcpy(fault->text + len, (char[]){ '\\', 'x', digits[*c >> 4], digits[*c & 15] }, 4);
		len += 4;
	}
	fault->text[len] = '\0';
}
