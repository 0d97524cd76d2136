# eddy_add_layer(NAME
#   [GLOB pattern...]     its sources, default src/*.cpp, subfolders included
#   [EXCLUDE regex]       sources and headers of the folder that belong to another target
#   [HEADERS pattern...]  its public headers, default include/*.hpp, subfolders included
#   [EXPORT set]          name of the export set it is installed with, default eddyTargets
#   [PUBLIC target...]    libraries its headers need
#   [PRIVATE target...])  libraries its .cpp files need
#
# makes the library eddy_NAME, alias eddy::NAME, out of this folder. A layer sees its own include folder and those of
# the layers it links, nothing else: that is what keeps the layers apart. Without a .cpp file it is header-only.
# Targets in PRIVATE named eddy_* are helpers of the build (warnings, Asio's flags) and are not exported.
function(eddy_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "EXCLUDE;EXPORT" "GLOB;HEADERS;PUBLIC;PRIVATE")
  if(NOT arg_GLOB)
    set(arg_GLOB src/*.cpp)
  endif()
  if(NOT arg_HEADERS)
    set(arg_HEADERS include/*.hpp)
  endif()
  if(NOT arg_EXPORT)
    set(arg_EXPORT eddyTargets)
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${arg_GLOB})
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/include" ${arg_HEADERS})
  if(arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${arg_EXCLUDE}")
    list(FILTER headers EXCLUDE REGEX "${arg_EXCLUDE}")
  endif()

  set(target eddy_${name})
  if(sources)
    set(scope PUBLIC)
    add_library(${target} ${sources})
    target_include_directories(${target} PRIVATE src)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:eddy_warnings>)
    foreach(library IN LISTS arg_PRIVATE)
      if(library MATCHES "^eddy_")
        set(library $<BUILD_INTERFACE:${library}>)
      endif()
      target_link_libraries(${target} PRIVATE ${library})
    endforeach()
    set_target_properties(${target} PROPERTIES
      VERSION ${PROJECT_VERSION}
      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
      DEFINE_SYMBOL ""  # shared and static are compiled alike: nothing is marked for export
      INSTALL_RPATH "$<IF:$<PLATFORM_ID:Darwin>,@loader_path,$ORIGIN>")
  else()
    set(scope INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  add_library(eddy::${name} ALIAS ${target})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope}
    "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} ${scope} ${arg_PUBLIC})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    EDDY_EXPORT ${arg_EXPORT}
    EDDY_HEADERS "${headers}"
    EDDY_HEADER_DIR "${CMAKE_CURRENT_SOURCE_DIR}/include")
  set_property(GLOBAL APPEND PROPERTY EDDY_LAYERS ${name})
endfunction()
