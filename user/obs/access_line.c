/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/access_line.h"

#include <stdio.h>

#include "user/base/char_class.h"
#include "user/base/json_writer.h"

static const struct {
	struct span name;
	struct span text_key; /* " name=" */
	struct span json_key; /* ",\"name\":" */
} fields[ACCESS_FIELD_COUNT] = {
#define ACCESS_FIELD(id, name, explanation, ...) { SPAN(name), SPAN(" " name "="), SPAN(",\"" name "\":") },
#include "user/base/units.h"
#include "user/obs/access_fields.def"
#undef ACCESS_FIELD
};

uint64_t access_fields_mask(const struct span *name_list, uint32_t name_count)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < name_count; i++) {
		for (uint32_t field = 0; field < ACCESS_FIELD_COUNT; field++) {
			if (span_eq(name_list[i], fields[field].name))
				mask |= 1ull << field;
		}
	}
	return mask;
}

struct span access_field_name(enum access_field field)
{
	return fields[field].name;
}

struct span access_duration(char out[ACCESS_TIME_BYTES], uint64_t ms)
{
	size_t len = text_u64(out, ms);

	memcpy(out + len, "ms", 2);
	return span_of(out, len + 2);
}

struct span access_micros(char out[ACCESS_TIME_BYTES], uint32_t us)
{
	int len = us ? snprintf(out, ACCESS_TIME_BYTES, "%u.%03ums", us / 1000, us % 1000) : 0;

	return span_of(out, (size_t)len);
}

struct span access_class(enum end_reason reason)
{
	struct span class = span_str(end_reason_class(reason));

	return span_eq(class, SPAN("Upstream")) ? (struct span){ 0 } : class;
}

struct line {
	struct text text;
	bool is_json;
	uint64_t removed;
};

static void put(struct line *line, struct span s)
{
	text_add(&line->text, s);
}

static void put_quoted(struct line *line, struct span s)
{
	if (line->is_json) {
		json_quote_ascii(&line->text, s);
		return;
	}
	put(line, SPAN("\""));
	text_escaped(&line->text, s);
	put(line, SPAN("\""));
}

static bool put_key(struct line *line, enum access_field field)
{
	if (line->removed >> field & 1u)
		return false;
	put(line, line->is_json ? fields[field].json_key : fields[field].text_key);
	return true;
}

/* One word; no field if it is empty. */
static void put_word(struct line *line, enum access_field field, struct span value)
{
	if (value.len == 0 || !put_key(line, field))
		return;
	if (line->is_json || !char_class_is_word(value))
		put_quoted(line, value);
	else
		put(line, value);
}

/* A sentence, always in quotes. */
static void put_sentence(struct line *line, enum access_field field, struct span value)
{
	if (value.len && put_key(line, field))
		put_quoted(line, value);
}

static void put_number(struct line *line, enum access_field field, bool has_value, uint64_t value)
{
	char digits[21];

	if (has_value && put_key(line, field))
		put(line, span_of(digits, text_u64(digits, value)));
}

static void put_duration(struct line *line, enum access_field field, bool has_value, uint64_t ms)
{
	char text[ACCESS_TIME_BYTES];

	if (has_value)
		put_word(line, field, access_duration(text, ms));
}

static void put_micros(struct line *line, enum access_field field, uint32_t us)
{
	char text[ACCESS_TIME_BYTES];

	put_word(line, field, access_micros(text, us));
}

static void put_class(struct line *line, enum access_field field, enum end_reason reason)
{
	put_word(line, field, access_class(reason));
}

static void put_lane(struct line *line, enum access_field field, const struct stream_record *record)
{
	char lane[LANE_TEXT_BYTES];

	put_word(line, field, span_of(lane, lane_text(record, lane)));
}

static void put_fields(struct line *line, const struct stream_record *record)
{
#define ACCESS_FIELD(id, name, explanation, put, ...) put_##put(line, ACCESS_##id, __VA_ARGS__);
#include "user/obs/access_fields.def"
#undef ACCESS_FIELD
}

static void put_extra(struct line *line, const struct access_extra *extra)
{
	put(line, line->is_json ? SPAN(",\"") : SPAN(" "));
	put(line, extra->name);
	put(line, line->is_json ? SPAN("\":") : SPAN("="));
	if (extra->is_plain || (!line->is_json && extra->value.len && char_class_is_word(extra->value)))
		put(line, extra->value);
	else
		put_quoted(line, extra->value);
}

static void put_extras(struct line *line, const struct access_extras *extras)
{
	for (uint32_t i = 0; extras && i < extras->count; i++)
		put_extra(line, &extras->list[i]);
}

/* Within one second only the microseconds change. */
static struct span time_text(struct access_time *time, uint64_t wall_us)
{
	enum { MICROS_AT = 20, MICROS_DIGITS = 6 };
	uint64_t micros = wall_us % US_PER_S;

	if (time->text[0] == '\0' || time->second != wall_us / US_PER_S) {
		clock_rfc3339(wall_us, time->text);
		time->second = wall_us / US_PER_S;
	}
	for (size_t i = MICROS_AT + MICROS_DIGITS; i > MICROS_AT; i--) {
		time->text[i - 1] = (char)('0' + micros % 10);
		micros /= 10;
	}
	return span_of(time->text, CLOCK_RFC3339_BYTES - 1);
}

size_t access_line(char *out, size_t size, enum log_format format, const struct stream_record *record,
		   const struct access_extras *extras, uint64_t wall_us, uint64_t removed,
		   struct access_time *time)
{
	struct line line = { .is_json = format == LOG_JSON, .removed = removed };
	struct span date = time_text(time, wall_us);

	text_borrow(&line.text, out, size);
	if (line.is_json) {
		put(&line, SPAN("{\"level\":\"info\",\"time\":\""));
		put(&line, date);
		put(&line, SPAN("\",\"scope\":\"request\""));
		put_fields(&line, record);
		put_extras(&line, extras);
		put(&line, SPAN("}\n"));
	} else {
		put(&line, date);
		put(&line, SPAN("\tinfo\trequest"));
		put_fields(&line, record);
		put_extras(&line, extras);
		put(&line, SPAN("\n"));
	}
	return line.text.failed ? 0 : line.text.len;
}
