// The situations of the cancellation matrix, as tests of the table that `rows()` gives. Included where that is defined.
// Without an include guard: it is no header of its own.
EDDY_TEST("matrix: in a scope that is cancelled already") {
    for (const matrix::row& r : rows()) co_await matrix::already_cancelled(r);
}
EDDY_TEST("matrix: cancelled while it waits") {
    for (const matrix::row& r : rows()) co_await matrix::cancelled_while_waiting(r);
}
EDDY_TEST("matrix: cancelled in the tick of its completion") {
    for (const matrix::row& r : rows()) co_await matrix::cancelled_in_the_tick_of_completion(r);
}
EDDY_TEST("matrix: timed out") {
    for (const matrix::row& r : rows()) co_await matrix::timed_out(r);
}
EDDY_TEST("matrix: shielded") {
    for (const matrix::row& r : rows()) co_await matrix::shielded_from_it(r);
}
TEST_CASE("matrix: the loop shuts down") {
    for (const matrix::row& r : rows()) matrix::left_at_shutdown(r);
}
EDDY_TEST("matrix: shielded, and cancelled while it waits") {
    for (const matrix::row& r : rows()) co_await matrix::shielded_while_waiting(r);
}
