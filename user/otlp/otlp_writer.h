/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "policy/expression/expression.h"

/*
 * Writes one record of OpenTelemetry's protocol, a span or a log record, field by field (protobuf.dev,
 * "Encoding"), into memory of a fixed size. An attribute that does not fit is left out and counted. Texts are
 * cut at LIMIT_OTLP_VALUE_BYTES; a byte that is no UTF-8 becomes `!`, because a collector refuses a message
 * that has one.
 */
struct otlp_writer {
	char *data; /* borrowed */
	size_t size, len;
	size_t reserved; /* of size: attributes leave it to the fields that follow them */
	uint32_t dropped; /* attributes */
	/* Names of attributes to leave out; borrowed. */
	const struct span *removed_list;
	uint32_t removed_count;
};

enum { OTLP_NUMBER_BYTES = 20 }; /* that otlp_number() needs, whatever the number */

void otlp_init(struct otlp_writer *w, char *memory, size_t size);
static inline struct span otlp_span(const struct otlp_writer *w)
{
	return (struct span){ w->data, w->len };
}

/* Fields of the record itself; nothing is left out, but what does not fit. */
void otlp_bytes(struct otlp_writer *w, uint32_t number, const void *bytes, size_t len);
void otlp_text(struct otlp_writer *w, uint32_t number, struct span text);
void otlp_number(struct otlp_writer *w, uint32_t number, uint64_t value);
void otlp_fixed64(struct otlp_writer *w, uint32_t number, uint64_t value);
void otlp_fixed32(struct otlp_writer *w, uint32_t number, uint32_t value);
/* An id: 8 bytes of each word, most significant first. */
void otlp_id(struct otlp_writer *w, uint32_t number, const uint64_t *words, size_t count);

/*
 * Evaluates what an attribute can say: a number, true or false, otherwise the text of the value, in the
 * scratch memory of the facts until the next evaluation. False: it has no value.
 */
bool otlp_evaluate(const struct expression *expression, const struct expression_facts *facts,
		   struct expression_value *ret);

/*
 * Attributes: the message KeyValue as field `number`. A text that is empty, and a value that is none, is left
 * out.
 */
void otlp_text_attribute(struct otlp_writer *w, uint32_t number, struct span name, struct span value);
void otlp_int_attribute(struct otlp_writer *w, uint32_t number, struct span name, int64_t value);
/* Lists, maps, times and addresses are no such values: the caller makes texts of them. */
void otlp_value_attribute(struct otlp_writer *w, uint32_t number, struct span name,
			  const struct expression_value *value);
