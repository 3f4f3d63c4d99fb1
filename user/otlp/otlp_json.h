/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/otlp_signal.h"
#include "user/base/text.h"

/*
 * OTLP/HTTP with JSON (OpenTelemetry protocol 1, "JSON Protobuf Encoding"): names in lowerCamelCase, ids as
 * hexadecimal digits, numbers of 64 bits as texts, enums as numbers.
 */

/* Appends the message of otlp_write_message() as JSON. 0, -ENOMEM, or -EBADMSG. */
int otlp_json_write(struct text *out, enum otlp_signal signal, struct span message);
/* otlp_rejected() for a response in JSON. */
uint64_t otlp_json_rejected(enum otlp_signal signal, struct span response);
