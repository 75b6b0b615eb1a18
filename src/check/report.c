#include "check/report.h"

#include "name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = {[CHECK_OK] = "ok",
                                     [CHECK_WARNING] = "warning",
                                     [CHECK_ERROR] = "error",
                                     [CHECK_SKIPPED] = "skipped"};

/* -- Lines ------------------------------------------------------------------------------------- */

/* It is one line, whatever a server or a path puts into it. */
__attribute__((format(printf, 2, 0))) static void print_plain(char text[CHECK_TEXT_MAX],
                                                              const char *fmt, va_list args)
{
    vsnprintf(text, CHECK_TEXT_MAX, fmt, args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

void check_set(struct check_line *l, enum check_state state, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print_plain(l->text, fmt, args);
    va_end(args);
    l->state = state;
    l->advice[0] = '\0';
}

void check_advise(struct check_line *l, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print_plain(l->advice, fmt, args);
    va_end(args);
}

void check_print_size(uint64_t bytes, char ret_text[16])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double size = (double)bytes / 1024;
    size_t unit = 0;

    while (size >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        size /= 1024;
        unit++;
    }
    if (bytes < 1024)
        snprintf(ret_text, 16, "%u bytes", (unsigned)bytes);
    else
        snprintf(ret_text, 16, "%.1f %s", size, units[unit]);
}

/* -- JSON -------------------------------------------------------------------------------------- */

/* What is no UTF-8, as in the name of a directory, becomes U+FFFD. */
static void print_json(FILE *out, const char *text)
{
    uint32_t code = 0;

    fputc('"', out);
    while (*text) {
        size_t len = name_read_character(text, &code);
        if (len == 0)
            fputs("\\ufffd", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if (code < 0x20 || code == 0x7f)
            fprintf(out, "\\u%04x", (unsigned)code);
        else
            fwrite(text, 1, len, out);
        text += len ? len : 1;
    }
    fputc('"', out);
}

static void add_member(struct check_line *l, const char *name, const char *text, int64_t number)
{
    size_t used = strlen(l->members), len;
    char *member = NULL;
    FILE *out = open_memstream(&member, &len);

    if (!out)
        return;
    fprintf(out, ",\"%s\":", name);
    if (text)
        print_json(out, text);
    else
        fprintf(out, "%" PRId64, number);
    if (fclose(out) == 0 && used + len < sizeof(l->members))
        memcpy(l->members + used, member, len + 1);
    free(member);
}

void check_add_text(struct check_line *l, const char *name, const char *value)
{
    add_member(l, name, value, 0);
}

void check_add_number(struct check_line *l, const char *name, int64_t value)
{
    add_member(l, name, NULL, value);
}

/* -- The report -------------------------------------------------------------------------------- */

int check_report_init(struct check_report *r, bool json, FILE *out)
{
    *r = (struct check_report){.json = json, .out = out};
    r->lines = open_memstream(&r->kept, &r->kept_len);
    return r->lines ? 0 : -ENOMEM;
}

void check_report_add(struct check_report *r, const struct check_line *l)
{
    r->errors += l->state == CHECK_ERROR;
    r->warnings += l->state == CHECK_WARNING;
    if (!r->json) {
        fprintf(r->out, "%-8s %-13s %s%s%s\n", states[l->state], l->name, l->text,
                l->advice[0] ? "; " : "", l->advice);
        fflush(r->out);
        return;
    }
    fprintf(r->lines,
            "%s{\"name\":\"%s\",\"state\":\"%s\",\"text\":", r->count++ ? ",\n  " : "\n  ", l->name,
            states[l->state]);
    print_json(r->lines, l->text);
    fputs(",\"advice\":", r->lines);
    print_json(r->lines, l->advice);
    fprintf(r->lines, "%s}", l->members);
}

int check_report_finish(struct check_report *r, const char *version, const char *host)
{
    bool is_kept = fclose(r->lines) == 0;

    if (r->json && is_kept) {
        fputs("{\"version\":", r->out);
        print_json(r->out, version);
        fputs(",\"host\":", r->out);
        print_json(r->out, host);
        fprintf(r->out, ",\"errors\":%u,\"warnings\":%u,\"checks\":[%s]}\n", r->errors, r->warnings,
                r->kept);
    } else if (!r->json) {
        fprintf(r->out, "%u error%s, %u warning%s\n", r->errors, r->errors == 1 ? "" : "s",
                r->warnings, r->warnings == 1 ? "" : "s");
    }
    free(r->kept);
    return is_kept && fflush(r->out) == 0 && !ferror(r->out) ? 0 : -EIO;
}
