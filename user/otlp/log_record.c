/* SPDX-License-Identifier: Apache-2.0 */
#include "user/otlp/log_record.h"

#include "user/base/units.h"
#include "user/http/trace_context.h"
#include "user/obs/access_line.h"

enum {
	/* opentelemetry/proto/logs/v1/logs.proto: LogRecord */
	TIME = 1,
	SEVERITY = 2,
	SEVERITY_TEXT = 3,
	BODY = 5,
	ATTRIBUTE = 6,
	DROPPED = 7,
	TRACE_ID = 9,
	SPAN_ID = 10,
	OBSERVED_TIME = 11,
	SEVERITY_INFO = 9,
	BODY_TEXT = 1, /* of AnyValue */
};

struct attributes {
	struct otlp_writer *w; /* borrowed */
	uint64_t removed; /* access_fields_mask() */
};

static bool is_removed(const struct attributes *a, enum access_field field)
{
	return a->removed >> field & 1u;
}

static void put_word(struct attributes *a, enum access_field field, struct span value)
{
	if (!is_removed(a, field))
		otlp_text_attribute(a->w, ATTRIBUTE, access_field_name(field), value);
}

static void put_sentence(struct attributes *a, enum access_field field, struct span value)
{
	put_word(a, field, value);
}

static void put_number(struct attributes *a, enum access_field field, bool has_value, uint64_t value)
{
	if (has_value && !is_removed(a, field))
		otlp_int_attribute(a->w, ATTRIBUTE, access_field_name(field), (int64_t)value);
}

static void put_duration(struct attributes *a, enum access_field field, bool has_value, uint64_t ms)
{
	char text[ACCESS_TIME_BYTES];

	if (has_value)
		put_word(a, field, access_duration(text, ms));
}

static void put_micros(struct attributes *a, enum access_field field, uint32_t us)
{
	char text[ACCESS_TIME_BYTES];

	put_word(a, field, access_micros(text, us));
}

static void put_class(struct attributes *a, enum access_field field, enum end_reason reason)
{
	put_word(a, field, access_class(reason));
}

static void put_lane(struct attributes *a, enum access_field field, const struct stream_record *record)
{
	char lane[LANE_TEXT_BYTES];

	put_word(a, field, span_of(lane, lane_text(record, lane)));
}

static void put_usual(struct attributes *a, const struct stream_record *record)
{
#define ACCESS_FIELD(id, name, explanation, put, ...) put_##put(a, ACCESS_##id, __VA_ARGS__);
#include "user/obs/access_fields.def"
#undef ACCESS_FIELD
}

/* They replace the usual ones of their names. */
static void put_added(struct attributes *a, const struct access_log_policy *policy,
		      const struct expression_facts *facts)
{
	for (uint32_t i = 0; i < policy->add_count; i++) {
		struct expression_value value;

		if (!otlp_evaluate(policy->add_expressions[i], facts, &value))
			continue;
		otlp_value_attribute(a->w, ATTRIBUTE, policy->add_list[i].name, &value);
		a->removed |= access_fields_mask(&policy->add_list[i].name, 1);
	}
}

/* words: of the id, each of 16 digits of the line. */
static void put_id(struct attributes *a, enum access_field field, uint32_t number, struct span digits,
		   size_t words)
{
	uint64_t id[2];

	if (is_removed(a, field) || digits.len != 16 * words)
		return;
	for (size_t i = 0; i < words; i++)
		if (!trace_number(digits.data + 16 * i, 16, &id[i]))
			return;
	otlp_id(a->w, number, id, words);
}

static void put_body(struct otlp_writer *w, struct span text)
{
	char memory[32];
	struct otlp_writer body;

	otlp_init(&body, memory, sizeof(memory));
	otlp_text(&body, BODY_TEXT, text);
	otlp_bytes(w, BODY, memory, body.len);
}

void log_record_write(struct otlp_writer *w, const struct access_log_policy *policy,
		      const struct stream_record *record, const struct expression_facts *facts,
		      uint64_t wall_ns)
{
	struct attributes a = { w, access_fields_mask(policy->remove_list, policy->remove_count) };

	w->reserved = OTLP_NUMBER_BYTES; /* DROPPED */
	otlp_fixed64(w, TIME, wall_ns);
	otlp_fixed64(w, OBSERVED_TIME, wall_ns);
	otlp_number(w, SEVERITY, SEVERITY_INFO);
	otlp_text(w, SEVERITY_TEXT, SPAN("INFO"));
	/* The word that a line begins with; everything else is an attribute, which may be removed. */
	put_body(w, SPAN("request"));
	put_id(&a, ACCESS_TRACE_ID, TRACE_ID, record->trace_id, 2);
	put_id(&a, ACCESS_SPAN_ID, SPAN_ID, record->span_id, 1);
	if (facts)
		put_added(&a, policy, facts);
	put_usual(&a, record);
	if (w->dropped)
		otlp_number(w, DROPPED, w->dropped);
}
