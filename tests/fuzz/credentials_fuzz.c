/*
 * Any bytes as a key file: refused with a reason, or words that can stand in a header.
 */
#include "shared/credentials.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_word(const char *word, size_t size)
{
    size_t len = strnlen(word, size);

    check(len < size);
    for (size_t i = 0; i < len; i++)
        check(word[i] > ' ' && word[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int is_s3 = 0; is_s3 < 2; is_s3++) {
        char *text = malloc(size + 1);
        struct shared_credentials c;
        const char *reason = NULL;

        check(text != NULL);
        if (size > 0)
            memcpy(text, data, size);
        if (shared_credentials_parse(text, size, is_s3, &c, &reason) == 0) {
            check_word(c.user, sizeof(c.user));
            check_word(c.password, sizeof(c.password));
            check_word(c.session, sizeof(c.session));
            check_word(c.bearer, sizeof(c.bearer));
            check((c.bearer[0] != '\0') != (c.user[0] != '\0'));
            check(!c.session[0] || is_s3);
            shared_credentials_finish(&c);
        } else {
            check(reason != NULL && reason[0] != '\0');
        }
        free(text);
    }
    return 0;
}
