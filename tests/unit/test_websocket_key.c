/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/codec/websocket_key.h"

static void assert_key(const char bytes[17], const char *want)
{
	char key[WEBSOCKET_KEY_BYTES + 1] = { 0 };
	uint64_t first, second;

	key[WEBSOCKET_KEY_BYTES] = '#';
	memcpy(&first, bytes, sizeof(first));
	memcpy(&second, bytes + sizeof(first), sizeof(second));
	websocket_key_make(first, second, key);
	assert_memory_equal(key, want, WEBSOCKET_KEY_BYTES);
	assert_int_equal(key[WEBSOCKET_KEY_BYTES], '#');
}

TEST(a_key_is_base64_of_sixteen_bytes)
{
	assert_key("the sample nonce", "dGhlIHNhbXBsZSBub25jZQ=="); /* RFC 6455 1.3 */
	assert_key("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
		   "AQIDBAUGBwgJCgsMDQ4PEA=="); /* RFC 6455 4.1 */
	assert_key("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "AAAAAAAAAAAAAAAAAAAAAA==");
	assert_key("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		   "/////////////////////w==");
	assert_key("\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb",
		   "+++++++++++++++++++++w==");
}

/* Each of the 64 digits at a place of its own. */
TEST(every_digit_stands_for_its_six_bits)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char key[WEBSOCKET_KEY_BYTES];

	for (unsigned int value = 0; value < 64; value++) {
		unsigned char bytes[8] = { (unsigned char)(value << 2) };
		uint64_t first;

		memcpy(&first, bytes, sizeof(first));
		websocket_key_make(first, 0, key);
		assert_int_equal(key[0], digits[value]);
		assert_int_equal(key[1], 'A');
	}
}
