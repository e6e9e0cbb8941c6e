import { lazy, type ComponentType } from "react";
import { createBrowserRouter, Navigate } from "react-router";
import { NotFound, RouteError } from "./NotFound";
import { Shell } from "./shell/Shell";

type Loader = () => Promise<{ default: ComponentType }>;
const page = (load: Loader) => {
  const Page = lazy(load);
  return <Page />;
};

export const createRouter = () =>
  createBrowserRouter([
    { path: "/login", element: page(() => import("@/features/auth/LoginPage")), errorElement: <RouteError /> },
    { path: "/change-password", element: page(() => import("@/features/auth/ChangePasswordPage")), errorElement: <RouteError /> },
    {
      element: <Shell />,
      errorElement: <RouteError />,
      children: [
        { path: "/", element: <Navigate to="/applications" replace /> },
        { path: "/applications", element: page(() => import("@/features/applications/ApplicationsPage")) },
        { path: "/applications/new", element: page(() => import("@/features/applications/NewApplicationPage")) },
        { path: "/applications/:id", element: page(() => import("@/features/applications/ApplicationPage")) },
        { path: "/applications/:id/:tab", element: page(() => import("@/features/applications/ApplicationPage")) },
        { path: "/containers", element: page(() => import("@/features/containers/ContainersPage")) },
        { path: "/containers/:id", element: page(() => import("@/features/containers/ContainerPage")) },
        { path: "/containers/:id/:tab", element: page(() => import("@/features/containers/ContainerPage")) },
        { path: "/nodes", element: page(() => import("@/features/nodes/NodesPage")) },
        { path: "/repositories", element: page(() => import("@/features/repositories/RepositoriesPage")) },
        { path: "/activity", element: page(() => import("@/features/activity/ActivityPage")) },
        { path: "/tasks", element: page(() => import("@/features/tasks/TasksPage")) },
        { path: "/tasks/:id", element: page(() => import("@/features/tasks/TasksPage")) },
        { path: "/settings", element: <Navigate to="/settings/sessions" replace /> },
        { path: "/settings/:tab", element: page(() => import("@/features/settings/SettingsPage")) },
        { path: "*", element: <NotFound /> },
      ],
    },
  ]);
