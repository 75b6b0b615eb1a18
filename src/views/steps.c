#include "views/steps.h"

#include <stdio.h>
#include <string.h>

bool steps_has_file(const struct facts_step *step)
{
    return step->conclusion != FACTS_SKIPPED;
}

bool steps_is_whole(const struct facts_job *job)
{
    for (size_t i = 0; i < job->step_count; i++)
        if (steps_has_file(&job->steps[i]))
            return false;
    return true;
}

unsigned steps_get_width(const struct facts_job *job)
{
    unsigned largest = 0, width = 2;

    for (size_t i = 0; i < job->step_count; i++)
        if (job->steps[i].number > largest)
            largest = job->steps[i].number;
    for (unsigned n = largest / 100; n; n /= 10)
        width++;
    return width;
}

void steps_make_name(const struct facts_step *step, unsigned width, char ret_name[SAFE_NAME_LEN])
{
    char number[16];
    size_t len;

    snprintf(number, sizeof(number), "%0*u-", (int)width, step->number);
    len = strlen(number);
    safe_name_with_suffix(step->name, ".txt", ret_name);
    if (strlen(ret_name) + len >= SAFE_NAME_LEN) {
        char shorter[SAFE_NAME_LEN];
        safe_name_clean(step->name, SAFE_NAME_LEN - 1 - len - strlen(".txt"), shorter);
        safe_name_with_suffix(shorter, ".txt", ret_name);
    }
    memmove(ret_name + len, ret_name, strlen(ret_name) + 1);
    memcpy(ret_name, number, len);
}
