/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/json_writer.h"

/*
 * GET /certificates: every certificate of the current configuration, a JSON array sorted by expiry:
 *
 * {"use": "listener", "subject": "CN=a.example", "issuer": "CN=ca", "names": ["a.example"], "serial": "0a",
 * "fingerprint": "AB:…", "key": "EC prime256v1", "notBefore": "2026-01-31T00:00:00Z", "notAfter":
 * "2026-05-01T00:00:00Z", "daysLeft": 90, "usedBy": ["default/default/bind/443/listener0"], "uses": 1}
 *
 * use: listener, client (presented to backends), authority (verifies clients or backends). usedBy has the
 * first 16 listeners or backends. text_error() reports lack of memory.
 */
void certificates_write(const struct snapshot *snapshot, int64_t now_s, struct text *out);
/* The family headgate_certificate_expiry_timestamp_seconds: the 256 certificates that expire first. */
void certificates_metric(const struct snapshot *snapshot, struct text *out);
/* One element of that array. */
void certificate_entry_write(struct json_writer *w, const struct certificate_entry *entry, int64_t now_s);
/* Writes the members from subject to notAfter into the open object. */
void certificate_members(struct json_writer *w, const struct tls_certificate *certificate);
