// What the user sees meanwhile, and in the end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/task.hpp>

#include "job.hpp"

namespace download_manager {

// Lines, and on a terminal bars below them, which are drawn anew ten times a second.
class display {
public:
    display(const std::vector<job>& jobs, bool terminal) : jobs_(jobs), terminal_(terminal) {}

    void line(const job& j, std::string_view text);
    // Until it is cancelled.
    eddy::task<> run();
    void erase();

private:
    void draw();
    [[nodiscard]] static std::string bar(const job& j);

    const std::vector<job>& jobs_;
    bool terminal_;
    std::size_t drawn_ = 0;
};

void print_summary(const std::vector<job>& jobs);

} // namespace download_manager
