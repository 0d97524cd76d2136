// How far it is: a line on stderr that is drawn anew on a terminal, a line for each tenth elsewhere.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/loop_clock.hpp>

namespace thumbnails {

/// Used on the loop's thread.
class progress_board {
public:
    progress_board();
    progress_board(const progress_board&) = delete;
    progress_board& operator=(const progress_board&) = delete;
    ~progress_board();

    void start(std::string scale, std::size_t pictures);
    /// A picture is done so far: 0 to 1.
    void part(std::size_t picture, double done);
    /// Whether it became a thumbnail or not.
    void finished(std::size_t picture);
    /// A line of another kind.
    void tell(std::string_view text);

private:
    void draw(bool now);
    void clear();
    bool terminal_;
    std::string scale_;
    std::vector<double> parts_;
    std::size_t finished_ = 0;
    std::size_t tenth_ = 0;
    eddy::loop_clock::time_point drawn_{};
    bool line_ = false; // one is there
};

} // namespace thumbnails
