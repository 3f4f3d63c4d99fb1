/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/access_line.h"

#include "user/base/text.h"

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

uint32_t access_fields_mask(const struct span *name_list, uint32_t name_count)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < name_count; i++) {
		for (uint32_t field = 0; field < ACCESS_FIELD_COUNT; field++) {
			if (span_eq(name_list[i], fields[field].name))
				mask |= 1u << field;
		}
	}
	return mask;
}

struct line {
	char *at;
	char *end;
	bool is_full; /* the line does not fit, its content is useless */
	bool is_json;
	uint32_t removed;
};

static void put(struct line *line, struct span s)
{
	if (s.len > (size_t)(line->end - line->at)) {
		line->is_full = true;
		return;
	}
	memcpy(line->at, s.data, s.len);
	line->at += s.len;
}

/* Printable ASCII except blank, quote (0x22) and backslash (0x5c). */
static const bool is_plain[256] = {
	[0x21] = true,
	[0x23 ... 0x5b] = true,
	[0x5d ... 0x7e] = true,
};

static size_t plain_len(struct span s)
{
	size_t len = 0;

	while (len < s.len && is_plain[(unsigned char)s.data[len]])
		len++;
	return len;
}

static void put_escape(struct line *line, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char out[6] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	if (c == '"' || c == '\\') {
		out[1] = (char)c;
		put(line, span_of(out, 2));
	} else if (c == ' ') {
		put(line, SPAN(" "));
	} else if (line->is_json) {
		put(line, span_of(out, sizeof(out)));
	} else {
		out[3] = 'x';
		memmove(out + 1, out + 3, 3);
		put(line, span_of(out, 4));
	}
}

static void put_quoted(struct line *line, struct span s)
{
	put(line, SPAN("\""));
	while (s.len) {
		size_t plain = plain_len(s);

		put(line, span_first(s, plain));
		s = span_from(s, plain);
		if (s.len)
			put_escape(line, (unsigned char)s.data[0]);
		s = span_from(s, 1);
	}
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
	if (line->is_json || plain_len(value) != value.len)
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
	char digits[24];
	size_t len = text_u64(digits, ms);

	memcpy(digits + len, "ms", 2);
	if (has_value)
		put_word(line, field, span_of(digits, len + 2));
}

/* The class of streams without trouble is left out. */
static void put_class(struct line *line, enum access_field field, enum end_reason reason)
{
	struct span class = span_str(end_reason_class(reason));

	if (!span_eq(class, SPAN("Upstream")))
		put_word(line, field, class);
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
		   uint64_t wall_us, uint32_t removed, struct access_time *time)
{
	struct line line = { out, out + size, false, format == LOG_JSON, removed };
	struct span date = time_text(time, wall_us);

	if (line.is_json) {
		put(&line, SPAN("{\"level\":\"info\",\"time\":\""));
		put(&line, date);
		put(&line, SPAN("\",\"scope\":\"request\""));
		put_fields(&line, record);
		put(&line, SPAN("}\n"));
	} else {
		put(&line, date);
		put(&line, SPAN("\tinfo\trequest"));
		put_fields(&line, record);
		put(&line, SPAN("\n"));
	}
	return line.is_full ? 0 : (size_t)(line.at - out);
}
