# Installs the layers, their headers, the CMake package `eddy` and the pkg-config files eddy, eddy-http, eddy-tls,
# eddy-redis, eddy-jobs, eddy-testing.
include(CMakePackageConfigHelpers)

# One export set is one file of targets that eddyConfig.cmake loads: the three layers together, each component alone.
function(eddy_install_package)
  set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/eddy")
  get_property(layers GLOBAL PROPERTY EDDY_LAYERS)
  set(exports eddyTargets)
  foreach(layer IN LISTS layers)
    get_target_property(export eddy_${layer} EDDY_EXPORT)
    get_target_property(headers eddy_${layer} EDDY_HEADERS)
    get_target_property(header_dir eddy_${layer} EDDY_HEADER_DIR)
    list(APPEND exports ${export})
    install(TARGETS eddy_${layer} EXPORT ${export}
      LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
      ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
      RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    foreach(header IN LISTS headers)
      cmake_path(GET header PARENT_PATH folder)
      install(FILES "${header_dir}/${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${folder}")
    endforeach()
  endforeach()
  install(TARGETS eddy EXPORT eddyTargets)
  list(REMOVE_DUPLICATES exports)
  foreach(export IN LISTS exports)
    install(EXPORT ${export} NAMESPACE eddy:: DESTINATION "${package_dir}")
  endforeach()

  configure_package_config_file("${PROJECT_SOURCE_DIR}/coro/cmake/eddyConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/package/eddyConfig.cmake"
    INSTALL_DESTINATION "${package_dir}")
  write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/eddyConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
  install(FILES "${PROJECT_BINARY_DIR}/package/eddyConfig.cmake" "${PROJECT_BINARY_DIR}/package/eddyConfigVersion.cmake"
    DESTINATION "${package_dir}")

  set(of_runtime fmt)
  if(EDDY_HAVE_IO_URING)
    list(APPEND of_runtime "liburing >= 2.3")
  endif()
  eddy_install_pkgconfig(eddy "${PROJECT_DESCRIPTION}" LAYERS io runtime coro PRIVATE_REQUIRES ${of_runtime})
  if(TARGET eddy_http)
    eddy_install_pkgconfig(eddy-http "eddy's HTTP client and server" LAYERS http
      REQUIRES "eddy = ${PROJECT_VERSION}" PRIVATE_REQUIRES libcurl fmt)
  endif()
  if(TARGET eddy_tls)
    eddy_install_pkgconfig(eddy-tls "eddy's TLS streams" LAYERS tls
      REQUIRES "eddy = ${PROJECT_VERSION}" PRIVATE_REQUIRES openssl fmt)
  endif()
  if(TARGET eddy_redis)
    eddy_install_pkgconfig(eddy-redis "eddy's Redis client" LAYERS redis
      REQUIRES "eddy-tls = ${PROJECT_VERSION}" PRIVATE_REQUIRES hiredis openssl)
  endif()
  if(TARGET eddy_jobs)
    set(of_jobs "eddy = ${PROJECT_VERSION}" nlohmann_json)
    set(packed "")
    if(TARGET eddy_redis)
      set(packed zlib)
      list(APPEND of_jobs "eddy-redis = ${PROJECT_VERSION}")
    endif()
    eddy_install_pkgconfig(eddy-jobs "eddy's background jobs, also for Celery and RQ" LAYERS jobs
      REQUIRES ${of_jobs} PRIVATE_REQUIRES sqlite3 ${packed})
  endif()
  if(TARGET eddy_testing)
    eddy_install_pkgconfig(eddy-testing "eddy's kit for testing coroutines with Catch2" LAYERS testing
      REQUIRES "eddy = ${PROJECT_VERSION}" catch2 PRIVATE_REQUIRES fmt)
  endif()
endfunction()

# Writes and installs NAME.pc. It finds its prefix from where it lies, so an installed tree can be moved.
function(eddy_install_pkgconfig name description)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LAYERS;REQUIRES;PRIVATE_REQUIRES")
  set(PC_NAME ${name})
  set(PC_DESCRIPTION "${description}")
  set(PC_LIBS "")
  foreach(layer IN LISTS arg_LAYERS)
    get_target_property(type eddy_${layer} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      string(APPEND PC_LIBS " -leddy_${layer}")
    endif()
  endforeach()
  if(NOT BUILD_SHARED_LIBS)  # there is only the static library: who links it needs the rest, with --static or without
    list(APPEND arg_REQUIRES ${arg_PRIVATE_REQUIRES})
    set(arg_PRIVATE_REQUIRES "")
  endif()
  list(JOIN arg_REQUIRES ", " PC_REQUIRES)
  list(JOIN arg_PRIVATE_REQUIRES ", " PC_PRIVATE_REQUIRES)

  set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
  foreach(which LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${which}}")
      set(PC_${which} "${CMAKE_INSTALL_${which}}")
    else()
      set(PC_${which} "\${prefix}/${CMAKE_INSTALL_${which}}")
    endif()
  endforeach()
  if(IS_ABSOLUTE "${pc_dir}")
    set(PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  else()
    file(RELATIVE_PATH up "/${pc_dir}" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(PC_PREFIX "\${pcfiledir}/${up}")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/coro/cmake/eddy.pc.in" "${PROJECT_BINARY_DIR}/package/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/package/${name}.pc" DESTINATION "${pc_dir}")
endfunction()
