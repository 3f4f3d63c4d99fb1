/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/certificates.h"

#include "admin/prometheus.h"
#include "policy/compile/certificate_list.h"
#include "user/base/clock.h"

enum {
	METRIC_CERTIFICATES = 256, /* samples of the family */
	DATE_SECOND_BYTES = 19, /* "2026-01-31T23:59:59" */
};

static const char *const use_names[] = {
	[CERTIFICATE_OF_LISTENER] = "listener",
	[CERTIFICATE_OF_CLIENT] = "client",
	[CERTIFICATE_OF_AUTHORITY] = "authority",
};

static void write_date(struct json_writer *w, const char *key, int64_t time_s)
{
	char date[CLOCK_RFC3339_BYTES];

	clock_rfc3339(time_s > 0 ? (uint64_t)time_s * US_PER_S : 0, date);
	date[DATE_SECOND_BYTES] = 'Z';
	json_string(w, key, span_of(date, DATE_SECOND_BYTES + 1));
}

static void write_days(struct json_writer *w, int64_t days)
{
	char digits[24];
	size_t len = 0;

	if (days < 0)
		digits[len++] = '-';
	len += text_u64(digits + len, (uint64_t)(days < 0 ? -days : days));
	json_number(w, "daysLeft", span_of(digits, len));
}

void certificate_members(struct json_writer *w, const struct tls_certificate *certificate)
{
	json_string(w, "subject", certificate->subject);
	json_string(w, "issuer", certificate->issuer);
	json_open_array(w, "names");
	for (uint32_t i = 0; i < certificate->name_count; i++)
		json_string(w, NULL, certificate->name_list[i]);
	json_close(w);
	json_string(w, "serial", certificate->serial);
	json_string(w, "fingerprint", certificate->fingerprint);
	json_string(w, "key", certificate->key);
	write_date(w, "notBefore", certificate->not_before_s);
	write_date(w, "notAfter", certificate->not_after_s);
}

void certificate_entry_write(struct json_writer *w, const struct certificate_entry *entry, int64_t now_s)
{
	json_open_object(w, NULL);
	json_str(w, "use", use_names[entry->use]);
	certificate_members(w, entry->certificate);
	write_days(w, certificate_days_left(entry->certificate, now_s));
	json_open_array(w, "usedBy");
	for (uint32_t i = 0; i < entry->place_count && i < CERTIFICATE_PLACES; i++)
		json_string(w, NULL, entry->place_list[i]);
	json_close(w);
	json_u64(w, "uses", entry->place_count);
	json_close(w);
}

void certificates_write(const struct snapshot *snapshot, int64_t now_s, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_array(&w, NULL);
	for (uint32_t i = 0; i < snapshot->certificate_count; i++)
		certificate_entry_write(&w, &snapshot->certificate_list[i], now_s);
	json_close(&w);
}

void certificates_metric(const struct snapshot *snapshot, struct text *out)
{
	prometheus_begin(out, METRIC_CERTIFICATE_EXPIRY);
	for (uint32_t i = 0; i < snapshot->certificate_count && i < METRIC_CERTIFICATES; i++) {
		const struct certificate_entry *entry = &snapshot->certificate_list[i];
		const struct tls_certificate *certificate = entry->certificate;
		const struct span labels[] = {
			span_str(use_names[entry->use]),
			certificate->name_count ? certificate->name_list[0] : certificate->subject,
			certificate->fingerprint,
		};
		int64_t end_s = certificate->not_after_s;

		prometheus_sample(out, METRIC_CERTIFICATE_EXPIRY, labels, end_s > 0 ? (uint64_t)end_s : 0);
	}
}
